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
    """Check that a folder holds no run and no sweep.

    Args:
        folder: where results are to be written; need not exist.

    Raises:
        DataError: the folder holds a run or a sweep.
    """
    for file, content in {"config.yaml": "run", "sweep.yaml": "sweep"}.items():
        if (folder / file).exists():
            raise DataError(f"{folder} holds a {content}; give another --out.")
