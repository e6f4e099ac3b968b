"""Checkpoints that carry the hash of their own bytes, so that one that was cut, damaged or altered is known before it is used.

A checkpoint is a zip archive; its hash is the archive's comment. So it is written with the file, in one rename, and goes
wherever the file is copied. It tells damage and careless changes; who alters a file on purpose can write its hash anew.
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
"""Bytes of the record that ends a zip archive, two for the length of its comment; the hash leaves those out."""


_MEND = "use another checkpoint, or train again"


class HashedCheckpointIO(TorchCheckpointIO):
    """Lightning's own reading and writing of checkpoints, with the hash, and without pickle."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        if "://" in str(path):  # a bucket's own checksums guard it
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(Path(path), "wb", RESUME_HINT) as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as err:  # torch closes its archive in any case, and then tells only of what that met
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
    """Write the hash of a checkpoint into it; the caller brings it to the disk."""
    with path.open("r+b") as file:
        file.seek(-2, 2)
        if file.read(2) != b"\0\0":
            return  # no archive, or one that has a comment already
        digest = _hash(path, path.stat().st_size - 2)
        file.seek(-2, 2)
        file.write(struct.pack("<H", _COMMENT) + _MARK + digest.encode())


def verify_hash(path: Path) -> None:
    """Compare a checkpoint with the hash that it carries; one from elsewhere that carries none passes.

    Raises:
        DataError: the file is not what was written.
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
        told = comment.removeprefix(_MARK).decode(errors="replace")
        if not intact or (comment.startswith(_MARK) and _hash(path, size - _COMMENT - 2) != told):
            raise DataError(f"{path} cannot be loaded: it is not as it was written (its hash differs); {_MEND}.")
    except OSError as err:
        raise DataError(f"{path} cannot be loaded: {err.strerror or err}; check the path and its permissions.") from err


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds: tensors, mapped from the file, and plain values; nothing in it is run.

    Raises:
        DataError: it is no checkpoint of this project, is damaged, or holds more than that.
    """
    verify_hash(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        found["hyper_parameters"]["dynamics"], found["state_dict"]
    except Exception as err:  # whatever a file that is no checkpoint makes torch raise
        raise DataError(f"{path} cannot be loaded: {reason(err)}; {_MEND}.") from err
    return found


def reason(err: Exception) -> str:
    """Why a checkpoint does not load, in a line."""
    told = " ".join(str(err).split())
    if "weights only" in told.lower() or "use_new_zipfile" in told:  # torch's old form is a bare pickle
        return "it holds Python objects, which could run code as they are read"
    return f"it is damaged, or no checkpoint of interestlab ({told[:200] or type(err).__name__})"


def _hash(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    left = size
    with path.open("rb") as file:
        while left and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()
