"""What pretrain may write, and its table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from interestlab.baselines.tables import format_fingerprint
from interestlab.errors import DataError

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


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """Return the table of the held-out metrics before and after.

    Args:
        metrics: the content of ``metrics.json``.
    """
    sizes = {name: f"{metrics[name]:,}" for name in ("heldout_samples", "train_samples", "steps")}
    title = "{heldout_samples} held-out samples; {steps} steps on {train_samples}".format(**sizes)
    table = Table("held-out", "before", "after", title=title, caption_justify="left")
    table.caption = format_fingerprint(metrics["fingerprint"])
    for name, before in metrics["before"].items():
        table.add_row(name, *(f"{value:.4f}" if value < 100 else f"{value:,.0f}" for value in (before, metrics["after"][name])))
    return table
