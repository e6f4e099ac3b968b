"""``interestlab export adapter RUN``: what a run learnt of a text model, as other programs load it."""

import argparse
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from interestlab.config.one_line_errors import told_in_one_line
from interestlab.contract import Encoder
from interestlab.errors import DataError
from interestlab.inference.load import load_model
from interestlab.utils import artifact_store


def run(args: list[str]) -> None:
    """Write an encoder of a run into a folder."""
    parser = argparse.ArgumentParser("interestlab export", description="Write what a run learnt, as other programs load it.")
    commands = parser.add_subparsers(dest="what", required=True)
    adapter = commands.add_parser("adapter", help="the adapter of a fine-tuned text encoder, as `peft` loads it")
    adapter.add_argument("run", type=Path, help="folder of a run, or a checkpoint")
    adapter.add_argument("--out", type=Path, help="folder to write; default RUN/adapter")
    adapter.add_argument("--encoder", help="which, where the model has several")
    adapter.add_argument("--merged", action="store_true", help="the whole text model, with what was learnt inside of it")
    options = parser.parse_args(args[1:])
    with told_in_one_line():
        print(f"written: {export(options.run, options.out, options.encoder, merged=options.merged)}")


def export(run: Path, out: Path | None, name: str | None, *, merged: bool) -> Path:
    """Write one encoder of a run, or of a checkpoint, and return the folder.

    Raises:
        DataError: there is no such run or encoder, or it has no such form, or the folder is there already.
    """
    checkpoint = run / "checkpoints" / "best.ckpt" if run.is_dir() else run
    if not checkpoint.is_file():
        raise DataError(f"{checkpoint} is not there; give the folder of a finished fit, or a checkpoint.")
    out = out or (run if run.is_dir() else run.parent) / ("merged" if merged else "adapter")
    if out.exists():
        raise DataError(f"{out} is there already; give another --out.")
    encoders = cast(Mapping[str, Encoder], load_model(checkpoint)[0].backbone.encoders)
    if name is None:
        trained = [
            key
            for key, encoder in encoders.items()
            if any(p.requires_grad for p in encoder.parameters()) and encoder.parameter_groups()
        ]
        if len(trained) != 1:
            raise DataError(f"say which encoder with --encoder: {', '.join(trained or encoders)}.")
        (name,) = trained
    if name not in encoders:
        raise DataError(f"{checkpoint} has no encoder '{name}'; it has {', '.join(encoders)}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=out.parent))
    try:
        encoders[name].export(draft, merged=merged)
        (draft / artifact_store.MANIFEST_NAME).write_text(json.dumps(artifact_store.compute_manifest(draft)))
        draft.rename(out)
    except ValueError as err:
        raise DataError(str(err)) from err
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return out
