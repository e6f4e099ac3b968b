"""Folders that commands write their results into."""

from datetime import datetime
from pathlib import Path

from interestlab.errors import DataError


def default_folder(name: str) -> Path:
    """Return ``runs/TIME-NAME``.

    Args:
        name: what the folder is for.
    """
    return Path("runs") / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"


def refuse_used(folder: Path) -> None:
    """Check that a folder contains neither a run nor a sweep.

    Args:
        folder: where results are to be written; need not exist.

    Raises:
        DataError: the folder contains a run or a sweep.
    """
    for file, content in {"config.yaml": "run", "sweep.yaml": "sweep"}.items():
        if (folder / file).exists():
            raise DataError(f"{folder} contains a {content}; give another --out.")
