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
from polars.exceptions import PolarsError

from interestlab.errors import DataError

VERSION = 1
"""Raised when a store's form or the way it is built changes; an older store is then not met."""

UNWRITABLE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR),
}
"""What stops a folder from being written, and another folder would mend."""


CONTENTS = "contents.json"
"""Lists the files of a store with their sizes and hashes."""

HASHED_AT_ONCE = 1 << 20
"""Bytes up to which a file is hashed whenever its store is opened; larger ones are held to their size, and hashed on demand."""


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


def build_artifact(folder: Path, write: Callable[[Path], None]) -> Path:
    """Return ``folder``, written first by ``write`` unless it is there.

    One process builds and the others wait. The folder appears under its name when it is whole, by a rename; what a
    killed builder left behind is removed by the next.

    Raises:
        DataError: the folder cannot be written, or what is there is not as it was written.
    """
    if folder.exists():
        check_manifest(folder)
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(folder.name + ".lock")):
            if not folder.exists():
                draft = folder.with_name(folder.name + ".part")
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                try:
                    write(draft)
                    (draft / CONTENTS).write_text(json.dumps(read_manifest(draft)))
                    draft.rename(folder)
                except BaseException:
                    shutil.rmtree(draft, ignore_errors=True)
                    raise
    except (OSError, PolarsError) as err:
        if not is_write_error(err):
            raise
        told = getattr(err, "strerror", None) or err
        raise DataError(
            f"{folder.parent}: cannot be written ({told}); make room, or set --data.cache_dir or INTERESTLAB_CACHE."
        ) from err
    return folder


def is_write_error(err: Exception) -> bool:
    """Whether another folder, or more room, would mend it."""
    number = getattr(err, "errno", None)
    return number in UNWRITABLE or (number is None and any(sign in str(err) for sign in _TOLD_IN_WORDS))


_TOLD_IN_WORDS = ("requested and", "os error 28", "os error 27", "os error 30", "os error 13", "os error 122")
"""NumPy and Polars tell of a full disk without its number."""


def read_manifest(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of each file of a store."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): (file.stat().st_size, sha256(file)) for file in files}


def check_manifest(folder: Path, *, whole: bool = False) -> None:
    """Hold a store to what was written into it: sizes, and the hashes of its small files; ``whole``: all hashes.

    Raises:
        DataError: a file is gone, was cut or was altered.
    """
    try:
        told = json.loads((folder / CONTENTS).read_text())
        wrong = next((name for name, (size, digest) in told.items() if not same(folder / name, size, digest, whole)), None)
    except FileNotFoundError:  # of an earlier version
        return
    except (OSError, ValueError, TypeError, AttributeError):
        wrong = CONTENTS
    if wrong is not None:
        raise damaged_error(folder, wrong)


def same(file: Path, size: int, digest: str, whole: bool) -> bool:
    """Whether a file is as it was written."""
    if not file.is_file() or file.stat().st_size != size:
        return False
    return (size > HASHED_AT_ONCE and not whole) or sha256(file) == digest


def sha256(file: Path) -> str:
    """Hash of one file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def damaged_error(folder: Path, name: str) -> DataError:
    """What is said of a store that cannot be used."""
    return DataError(f"{folder}: {name} is not as it was written; delete the folder, and it is built again.")


def save(folder: Path, **arrays: np.ndarray) -> None:
    """Write arrays, one .npy each."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def load(folder: Path, name: str) -> np.ndarray:
    """Map one array into memory, read-only; no pickle is ever read.

    Raises:
        DataError: the file is gone, or holds no such array.
    """
    try:
        array: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        raise damaged_error(folder, f"{name}.npy") from err
    return array
