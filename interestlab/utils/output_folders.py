"""Folders that commands write their results into."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from interestlab.errors import DataError
from interestlab.utils.atomic_files import FREE_SPACE_HINT, cannot_write_message


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


@contextmanager
def new_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Create a folder that gets its name once it is complete.

    Args:
        folder: the folder.
        replace: whether it may exist; it is removed once the new one is complete.

    Yields:
        An empty folder beside it, to be filled.

    Raises:
        DataError: the folder exists, or cannot be written.
    """
    if not folder.name or (folder.exists() and not replace):
        raise DataError(f"{folder} exists already; give another --out.")
    draft = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        draft.mkdir(parents=True)
        yield draft
        old = draft.with_suffix(".old")
        if replace and folder.exists():
            folder.rename(old)
        draft.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as err:
        raise DataError(cannot_write_message(folder, err, FREE_SPACE_HINT)) from err
    finally:
        shutil.rmtree(draft, ignore_errors=True)
