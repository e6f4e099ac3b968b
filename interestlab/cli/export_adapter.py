"""Write the adapter of a run's fine-tuned text encoder, as the library peft loads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from interestlab.config.parser import CommandParser
from interestlab.contract import Encoder
from interestlab.errors import DataError
from interestlab.training.open_run import load_model
from interestlab.utils import artifact_store
from interestlab.utils.output_folders import new_folder


def run(args: list[str]) -> None:
    """Write an encoder of a run into a folder, and print the folder.

    Args:
        args: the options.
    """
    parser = CommandParser("interestlab export adapter", description="Write a fine-tuned encoder for other programs.")
    parser.add_argument("run", type=Path, help="folder of a run, or a checkpoint")
    parser.add_argument("--out", type=Path | None, help="folder to write (default RUN/adapter)")
    parser.add_argument("--encoder", type=str | None, help="name of the encoder, if the model has several")
    parser.add_argument(
        "--merged", action="store_true", help="write the complete text model, with the adapter merged into its weights"
    )
    options = parser.parse_args(args)
    print(f"written: {export(options.run, options.out, options.encoder, merged=options.merged)}")


def export(run: Path, out: Path | None, name: str | None, *, merged: bool) -> Path:
    """Write one encoder of a run or of a checkpoint.

    Args:
        run: folder of the run, or the checkpoint.
        out: folder to write; None: ``adapter`` or ``merged`` next to the run's files.
        name: name of the encoder; None: the only one that was fine-tuned.
        merged: write the complete text model instead of the adapter.

    Returns:
        The folder.

    Raises:
        DataError: the run or the encoder does not exist, has no such form, or the folder exists already.
    """
    checkpoint = run / "checkpoints" / "best.ckpt" if run.is_dir() else run
    if not checkpoint.is_file():
        raise DataError(f"{checkpoint} does not exist; give the folder of a finished fit, or a checkpoint.")
    out = out or (run if run.is_dir() else run.parent) / ("merged" if merged else "adapter")
    encoders = cast(Mapping[str, Encoder], load_model(checkpoint)[0].backbone.encoders)
    if name is None:
        trained = [
            key
            for key, encoder in encoders.items()
            if any(p.requires_grad for p in encoder.parameters()) and encoder.parameter_groups()
        ]
        if len(trained) != 1:
            raise DataError(f"name the encoder with --encoder: {', '.join(trained or encoders)}.")
        (name,) = trained
    if name not in encoders:
        raise DataError(f"{checkpoint} has no encoder '{name}'; it has {', '.join(encoders)}.")
    with new_folder(out) as draft:
        try:
            encoders[name].export(draft, merged=merged)
        except ValueError as err:
            raise DataError(str(err)) from err
        (draft / artifact_store.MANIFEST_NAME).write_text(json.dumps(artifact_store.compute_manifest(draft)))
    return out
