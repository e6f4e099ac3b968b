"""The folder of a pretrained model, and its table."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.table import Table

from interestlab.baselines.tables import format_fingerprint
from interestlab.errors import DataError
from interestlab.utils.atomic_files import cannot_write_message

METRICS = "metrics.json"


def check_out(out: Path, overwrite: bool) -> None:
    """Check that a folder may be written.

    Args:
        out: the folder; need not exist.
        overwrite: whether a model in it may be replaced.

    Raises:
        DataError: the folder contains a model or other files.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / METRICS).is_file() or not any(out.glob("model*.safetensors")):
        raise DataError(f"{out} contains files that pretrain did not write; give another --out.")
    if not overwrite:
        raise DataError(f"{out} already contains a model; give another --out, or --overwrite.")


@contextmanager
def draft_folder(out: Path) -> Iterator[Path]:
    """Make an empty folder that becomes ``out`` once it is complete; a model in ``out`` is replaced then, and not before.

    Args:
        out: the final folder.

    Yields:
        The empty folder.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    except OSError as err:
        raise DataError(cannot_write_message(out, err, "make room, or give another --out")) from err
    try:
        draft.chmod(0o755)  # a temporary folder is private
        yield draft
        old = draft.with_suffix(".old")
        if out.exists():
            out.rename(old)
        draft.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """Return the table of the held-out metrics before and after.

    Args:
        metrics: the content of ``metrics.json``.
    """
    sizes = {name: f"{metrics[name]:,}" for name in ("heldout_samples", "train_samples", "steps")}
    title = "{heldout_samples} held-out samples; {steps} steps on {train_samples}".format(**sizes)
    table = Table("held-out", "before", "after", title=title, caption=format_fingerprint(metrics["fingerprint"]))
    for name, before in metrics["before"].items():
        table.add_row(name, f"{before:,.4f}", f"{metrics['after'][name]:,.4f}")
    return table
