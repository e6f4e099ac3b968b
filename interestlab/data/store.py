"""Folders that are whole or not there: built once, named by what they were built from, mapped into memory."""

import errno
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from interestlab.contract import DataError

VERSION = 1
"""Raised when a store's form or the way it is built changes; an older store is then not met."""

UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR}
"""What stops a folder from being written, and another folder would mend."""


def fingerprint(**parts: Any) -> str:
    """Sixteen hex digits that name what a store was built from."""
    return hashlib.sha256(json.dumps(parts | {"version": VERSION}, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[
        :16
    ]


def content_hash(files: list[Path]) -> str:
    """Hash of the contents of files, whatever their names."""
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as err:
            raise DataError(f"{file}: {err.strerror or err}; check the path given to the source.") from err
    return digest.hexdigest()[:16]


def build(folder: Path, write: Callable[[Path], None]) -> Path:
    """Return ``folder``, written first by ``write`` unless it is there.

    One process builds and the others wait. The folder appears under its name when it is whole, by a rename; what a
    killed builder left behind is removed by the next.
    """
    if folder.exists():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not folder.exists():
                draft = folder.with_name(folder.name + ".part")
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                write(draft)
                draft.rename(folder)
    except OSError as err:
        if err.errno not in UNWRITABLE:
            raise
        raise DataError(
            f"{folder.parent}: cannot be written ({err.strerror}); set --data.cache_dir or INTERESTLAB_CACHE."
        ) from err
    return folder


def save(folder: Path, **arrays: np.ndarray) -> None:
    """Write arrays, one .npy each."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def load(folder: Path, name: str) -> np.ndarray:
    """Map one array into memory, read-only; no pickle is ever read."""
    array: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return array
