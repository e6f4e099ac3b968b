"""States as bytes: plain tensors behind the hash of a header, never pickles."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from interestlab.contract import State
from interestlab.errors import DataError

DIGEST_BYTES = 8


def header_text(version: str, dynamics: str, tensors: Sequence[Mapping[str, Any]]) -> str:
    """Return the header of the states of one model. A store contains it once; each state starts with its hash.

    Args:
        version: version of the model.
        dynamics: class of the dynamics.
        tensors: dtype and shape of each tensor of one user's state, in order.
    """
    return json.dumps({"format": 1, "version": version, "dynamics": dynamics, "tensors": list(tensors)}, sort_keys=True)


def header_digest(header: str) -> bytes:
    """Return the bytes that every state with a header starts with.

    Args:
        header: the header.
    """
    return hashlib.sha256(header.encode()).digest()[:DIGEST_BYTES]


def payload(digest: bytes, blob: bytes) -> bytes:
    """Return the tensors of a state.

    Args:
        digest: hash of the expected header.
        blob: the state.

    Raises:
        DataError: it is the state of another model.
    """
    if blob[:DIGEST_BYTES] != digest:
        raise DataError("a state belongs to another model or another format; it must be rebuilt from the events.")
    return blob[DIGEST_BYTES:]


class StateFormat:
    """Packs states of constant size.

    Args:
        example: state of at least one user.
        version: version of the model.
        dynamics: class of the dynamics.
    """

    def __init__(self, example: State, version: str, dynamics: str) -> None:
        leaves, self._structure = pytree.tree_flatten(example)
        self._shapes = [leaf.shape[1:] for leaf in leaves]
        self._dtypes = [leaf.dtype for leaf in leaves]
        self._bytes = [leaf[0].numel() * leaf.element_size() for leaf in leaves]
        tensors = [{"dtype": str(leaf.dtype).removeprefix("torch."), "shape": list(leaf.shape[1:])} for leaf in leaves]
        self.header = header_text(version, dynamics, tensors)
        self.digest = header_digest(self.header)

    def pack(self, state: State, users: int) -> list[bytes]:
        """Return the state of each user as bytes.

        Args:
            state: state of at least as many users.
            users: number of users.
        """
        rows = [_to_bytes(leaf[:users]) for leaf in pytree.tree_leaves(state)]
        return [self.digest + row.tobytes() for row in np.concatenate(rows, axis=1)]

    def unpack(self, blobs: Sequence[bytes]) -> State:
        """Return the state of all users at once.

        Args:
            blobs: state of each user, from :meth:`pack`.

        Raises:
            DataError: a state belongs to another model or format.
        """
        joined = bytearray(b"".join(payload(self.digest, blob) for blob in blobs))  # writable, as torch wants it
        rows = np.frombuffer(joined, np.uint8).reshape(len(blobs), sum(self._bytes))
        leaves, first = [], 0
        for shape, dtype, width in zip(self._shapes, self._dtypes, self._bytes, strict=True):
            part = torch.from_numpy(rows[:, first : first + width].copy())
            leaves.append(part.view(dtype).reshape(len(blobs), *shape))
            first += width
        return pytree.tree_unflatten(leaves, self._structure)


def _to_bytes(leaf: Tensor) -> np.ndarray:
    """Return ``[B, ...]`` as ``[B, bytes]``."""
    return leaf.contiguous().reshape(len(leaf), -1).view(torch.uint8).numpy()
