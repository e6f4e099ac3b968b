"""Artifact folders: built atomically, once, and named by a fingerprint of what they were built from."""

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
"""Part of every fingerprint. Raise it when the format of stores or the way they are built changes, to rebuild them."""

MANIFEST_NAME = "contents.json"
"""File that lists the files of an artifact with their sizes and hashes."""

HASH_ON_OPEN_BYTES = 1 << 20
"""Files up to this size are hashed whenever their artifact is opened; of larger files only the size is compared."""

_WRITE_ERRNOS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOTDIR}
"""Errors that a different folder or more disk space would solve."""

_WRITE_ERROR_TEXTS = ("requested and", "os error 28", "os error 27", "os error 30", "os error 13", "os error 122")
"""NumPy and Polars report a full disk without its errno."""


def fingerprint(**parts: Any) -> str:
    """Return 16 hex digits that identify what an artifact is built from.

    Args:
        **parts: JSON values, in any order.
    """
    text = json.dumps(parts | {"version": VERSION}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def content_hash(files: list[Path]) -> str:
    """Return 16 hex digits of a hash of the contents of files, independent of their names.

    Args:
        files: the files, in order.

    Raises:
        DataError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        except OSError as err:
            raise DataError(f"{file}: {err.strerror or err}; check the path given to the source.") from err
    return digest.hexdigest()[:16]


def build_artifact(folder: Path, write: Callable[[Path], None]) -> Path:
    """Return an artifact folder; build it first if it does not exist.

    One process builds and the others wait. The folder is renamed to its name once it is complete; the next process removes
    what a killed one left behind.

    Args:
        folder: folder of the artifact.
        write: fills an empty folder with its files.

    Returns:
        ``folder``.

    Raises:
        DataError: the folder cannot be written, or an existing one does not match its manifest.
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
                    (draft / MANIFEST_NAME).write_text(json.dumps(compute_manifest(draft)))
                    draft.rename(folder)
                except BaseException:
                    shutil.rmtree(draft, ignore_errors=True)
                    raise
    except (OSError, PolarsError) as err:
        if not is_write_error(err):
            raise
        reason = getattr(err, "strerror", None) or err
        raise DataError(
            f"{folder.parent}: cannot be written ({reason}); make room, or set --data.cache_dir or INTERESTLAB_CACHE."
        ) from err
    return folder


def is_write_error(err: Exception) -> bool:
    """Return whether a different folder or more disk space would solve an error.

    Args:
        err: raised while files were written.
    """
    number = getattr(err, "errno", None)
    return number in _WRITE_ERRNOS or (number is None and any(text in str(err) for text in _WRITE_ERROR_TEXTS))


def compute_manifest(folder: Path) -> dict[str, tuple[int, str]]:
    """Compute the size in bytes and the SHA-256 of each file below a folder.

    Args:
        folder: folder of an artifact.
    """
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): (file.stat().st_size, _sha256(file)) for file in files}


def check_manifest(folder: Path, *, all_hashes: bool = False) -> None:
    """Compare an artifact with its manifest: all sizes, and the hashes of small files.

    Args:
        folder: folder of the artifact.
        all_hashes: whether to compare the hashes of large files too.

    Raises:
        DataError: a file is missing, truncated or changed.
    """
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_text())
        mismatches = (
            name for name, (size, digest) in manifest.items() if not _matches(folder / name, size, digest, all_hashes)
        )
        mismatch = next(mismatches, None)
    except FileNotFoundError:  # built by an earlier version
        return
    except (OSError, ValueError, TypeError, AttributeError):
        mismatch = MANIFEST_NAME
    if mismatch is not None:
        raise _corruption_error(folder, mismatch)


def save(folder: Path, **arrays: np.ndarray) -> None:
    """Save arrays, one ``.npy`` file each.

    Args:
        folder: an existing folder.
        **arrays: file name without suffix -> array.
    """
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def load(folder: Path, name: str) -> np.ndarray:
    """Memory-map one array, read-only and without pickle.

    Args:
        folder: folder of the artifact.
        name: name of the file, without suffix.

    Returns:
        The array.

    Raises:
        DataError: the file is missing, or not such an array.
    """
    try:
        array: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        raise _corruption_error(folder, f"{name}.npy") from err
    return array


def _matches(file: Path, size: int, digest: str, all_hashes: bool) -> bool:
    if not file.is_file() or file.stat().st_size != size:
        return False
    return (size > HASH_ON_OPEN_BYTES and not all_hashes) or _sha256(file) == digest


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _corruption_error(folder: Path, name: str) -> DataError:
    return DataError(f"{folder}: {name} is missing or corrupted; delete the folder, and it will be rebuilt.")
