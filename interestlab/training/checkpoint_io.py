"""Write checkpoints with the hash of their own bytes, and check it before they are read.

A checkpoint is a zip archive; its hash is the archive's comment. So it is written together with the file, in one rename, and
is copied with it. It detects damage and careless changes; whoever alters a file on purpose can write a new hash.
"""

import hashlib
import struct
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from interestlab.errors import DataError
from interestlab.utils.atomic_files import RESUME_HINT, atomic_write

_MARK = b"interestlab-sha256:"
_COMMENT = len(_MARK) + 64
_END = 22
"""Bytes of the last record of a zip archive. Two of them are the length of its comment, which the hash does not cover."""

_ADVICE = "use another checkpoint, or train again"


class HashedCheckpointIO(TorchCheckpointIO):
    """Read and write checkpoints as Lightning does, with the hash, and without pickle."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if "://" in str(path):  # a bucket has checksums of its own
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(Path(path), "wb", RESUME_HINT) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as err:  # torch closes its archive in any case, and reports only the error of that
                raise err.__context__ if isinstance(err.__context__, OSError) else err from None
            file.flush()
            write_hash(Path(file.name))

    def load_checkpoint(
        self, path: Any, map_location: Any = lambda storage, _: storage, weights_only: Any = None
    ) -> dict[str, Any]:
        if "://" not in str(path):
            verify_hash(Path(path))
        return super().load_checkpoint(path, map_location, weights_only=True)


def write_hash(path: Path) -> None:
    """Write the hash of a checkpoint into the file, without syncing it to the disk.

    Args:
        path: the checkpoint.
    """
    with path.open("r+b") as file:
        file.seek(-2, 2)
        if file.read(2) != b"\0\0":
            return  # not a ZIP archive, or one that already has a comment
        digest = _hash(path, path.stat().st_size - 2)
        file.seek(-2, 2)
        file.write(struct.pack("<H", _COMMENT) + _MARK + digest.encode())


def verify_hash(path: Path) -> None:
    """Compare a checkpoint with its hash. One without a hash, from elsewhere, passes.

    Args:
        path: the checkpoint.

    Raises:
        DataError: the file was altered since it was written.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - _END - _COMMENT))
            tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        comment = tail[at + _END :] if at >= 0 else b""
        length = int.from_bytes(tail[at + _END - 2 : at + _END], "little") if at >= 0 else 0
        intact = length == len(comment) and (length != _COMMENT or comment.startswith(_MARK))
        digest = comment.removeprefix(_MARK).decode(errors="replace")
        if not intact or (comment.startswith(_MARK) and _hash(path, size - _COMMENT - 2) != digest):
            raise DataError(f"{path} cannot be loaded: it was altered since it was written (its hash differs); {_ADVICE}.")
    except OSError as err:
        raise DataError(f"{path} cannot be loaded: {err.strerror or err}; check the path and its permissions.") from err


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint: tensors, mapped from the file, and plain values. No code in it is run.

    Args:
        path: the checkpoint.

    Raises:
        DataError: the file is not a checkpoint of interestlab, is damaged, or contains other Python objects.
    """
    verify_hash(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        checkpoint["hyper_parameters"]["dynamics"], checkpoint["state_dict"]
    except Exception as err:  # torch raises anything for a file that is not a checkpoint
        raise DataError(f"{path} cannot be loaded: {load_error(err)}; {_ADVICE}.") from err
    return checkpoint


def load_error(err: Exception) -> str:
    """Return in one line why a checkpoint does not load.

    Args:
        err: error of torch.
    """
    message = " ".join(str(err).split())
    if "weights only" in message.lower() or "use_new_zipfile" in message:  # torch's old format is a bare pickle
        return "it contains Python objects, which could run code as they are read"
    return f"it is damaged, or not a checkpoint of interestlab ({message[:200] or type(err).__name__})"


def _hash(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    left = size
    with path.open("rb") as file:
        while left and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()
