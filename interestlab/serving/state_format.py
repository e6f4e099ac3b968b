"""States as bytes: plain tensors behind the hash of a header, never pickles."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import torch
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
        self._names = [str(i) for i in range(len(leaves))]
        fields = [(name, leaf.numpy().dtype, tuple(leaf.shape[1:])) for name, leaf in zip(self._names, leaves, strict=True)]
        tensors = [{"dtype": str(dtype), "shape": list(shape)} for _, dtype, shape in fields]
        header = {"format": 1, "version": version, "dynamics": dynamics, "tensors": tensors}
        self.header = json.dumps(header, sort_keys=True)
        self.digest = hashlib.sha256(self.header.encode()).digest()[:DIGEST_BYTES]
        self._record = np.dtype([("digest", f"V{DIGEST_BYTES}"), *fields])

    def pack(self, state: State, users: int) -> list[bytes]:
        """Return the state of each user as bytes.

        Args:
            state: state of at least as many users.
            users: number of users.
        """
        records = np.empty(users, self._record)
        records["digest"] = np.void(self.digest)
        for name, leaf in zip(self._names, pytree.tree_leaves(state), strict=True):
            records[name] = leaf.numpy()[:users]
        joined, size = records.tobytes(), self._record.itemsize
        return [joined[first : first + size] for first in range(0, len(joined), size)]

    def unpack(self, blobs: Sequence[bytes]) -> State:
        """Return the state of all users at once.

        Args:
            blobs: state of each user, from :meth:`pack`.

        Raises:
            DataError: a state belongs to another model or format.
        """
        if any(not blob.startswith(self.digest) for blob in blobs):
            raise DataError("a state belongs to another model or format; give another --store, or remove the rows of `state`.")
        records = np.frombuffer(b"".join(blobs), self._record)
        leaves = [torch.from_numpy(records[name].copy()) for name in self._names]
        return pytree.tree_unflatten(leaves, self._structure)
