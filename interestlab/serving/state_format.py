"""States as bytes: plain tensors behind the hash of a header, never pickles."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from interestlab.contract import State
from interestlab.errors import DataError

DIGEST_BYTES = 8


class StateFormat:
    """Packs states of constant size.

    Args:
        example: state of at least one user.
        version: version of the model.
        dynamics: class of the dynamics.

    Attributes:
        header: version, dynamics, and dtype and shape of each tensor, as JSON. A store contains it once per model.
        digest: its hash, with which each state starts.
    """

    def __init__(self, example: State, version: str, dynamics: str) -> None:
        leaves, self._structure = pytree.tree_flatten(example)
        self._shapes = [leaf.shape[1:] for leaf in leaves]
        self._dtypes = [leaf.dtype for leaf in leaves]
        self._bytes = [leaf[0].numel() * leaf.element_size() for leaf in leaves]
        tensors = [{"dtype": str(leaf.dtype).removeprefix("torch."), "shape": list(leaf.shape[1:])} for leaf in leaves]
        header = {"format": 1, "version": version, "dynamics": dynamics, "tensors": tensors}
        self.header = json.dumps(header, sort_keys=True)
        self.digest = hashlib.sha256(self.header.encode()).digest()[:DIGEST_BYTES]

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
        if any(not blob.startswith(self.digest) for blob in blobs):
            raise DataError("a state belongs to another model or format; give another --store, or remove the rows of `state`.")
        joined = bytearray(b"".join(blobs))  # writable, as torch wants it
        rows = np.frombuffer(joined, np.uint8).reshape(len(blobs), DIGEST_BYTES + sum(self._bytes))
        leaves, first = [], DIGEST_BYTES
        for shape, dtype, width in zip(self._shapes, self._dtypes, self._bytes, strict=True):
            part = torch.from_numpy(rows[:, first : first + width].copy())
            leaves.append(part.view(dtype).reshape(len(blobs), *shape))
            first += width
        return pytree.tree_unflatten(leaves, self._structure)


def _to_bytes(leaf: Tensor) -> np.ndarray:
    """Return ``[B, ...]`` as ``[B, bytes]``."""
    return leaf.contiguous().reshape(len(leaf), -1).view(torch.uint8).numpy()
