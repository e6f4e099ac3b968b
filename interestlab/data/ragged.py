"""Values as rows of numbers, of a length each, in one flat file that is mapped into memory."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from interestlab.batch import Inputs
from interestlab.utils import artifact_store

HELD_AS = {"bfloat16": "int16"}
"""numpy has no bfloat16: its bits are kept as another type of their width."""


class RaggedArray:
    """The rows of every distinct value of a field: tokens, or what an encoder's frozen trunk makes of them.

    Attributes:
        lengths: ``[size]`` int64 number of rows of each value.
    """

    def __init__(self, folder: Path, mode: Literal["r", "w+"] = "r") -> None:
        form = json.loads((folder / "form.json").read_text())
        self._offsets = artifact_store.load(folder, "offsets")
        self.lengths: np.ndarray = np.diff(self._offsets)
        self._dtype, self._shape = form["dtype"], tuple(form["shape"])
        # An empty file cannot be mapped.
        size = (max(1, int(self._offsets[-1])), *self._shape)
        self._data = np.memmap(folder / "data.bin", HELD_AS.get(self._dtype, self._dtype), mode, shape=size)

    def _places(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths = self.lengths[codes]
        place = np.arange(lengths.max(initial=0))
        real = place < lengths[:, None]
        return (self._offsets[codes][:, None] + place)[real], real

    def inputs(self, codes: np.ndarray) -> Inputs:
        """The values of ``codes [U]``, padded to the longest among them."""
        places, real = self._places(codes)
        values = np.zeros((*real.shape, *self._shape), self._data.dtype)
        values[real] = self._data[places]
        held = torch.from_numpy(values)
        held = held.view(torch.bfloat16) if self._dtype in HELD_AS else held
        return Inputs(held, torch.from_numpy(self.lengths[codes].astype(np.int64)))

    def fill(self, codes: np.ndarray, values: Tensor) -> None:
        """Write the rows ``[U, L, ...]`` of some values, as :meth:`inputs` gives them back."""
        places, real = self._places(codes)
        values = values[torch.from_numpy(real).to(values.device)].cpu()
        if self._dtype in HELD_AS:
            values = values.to(torch.bfloat16).view(torch.int16)
        elif values.dtype == torch.bfloat16:  # of a model in half precision
            values = values.float()
        self._data[places] = values.numpy()

    def flush(self) -> None:
        """Write what was filled to the disk."""
        self._data.flush()


def allocate(folder: Path, lengths: np.ndarray, shape: tuple[int, ...], dtype: str) -> RaggedArray:
    """A file for rows of known lengths, to be filled in any order."""
    describe(folder, lengths, shape, dtype)
    return RaggedArray(folder, "w+")


def write(folder: Path, chunks: Iterable[list[np.ndarray]]) -> None:
    """Write the rows of all values in their order, one array ``[length, ...]`` a value."""
    lengths: list[int] = []
    shape: tuple[int, ...] = ()
    dtype = "int32"
    with (folder / "data.bin").open("wb") as flat:
        for rows in chunks:
            shape, dtype = rows[0].shape[1:], rows[0].dtype.str
            lengths += [len(row) for row in rows]
            flat.write(np.concatenate(rows).tobytes())
        if not flat.tell():
            flat.write(bytes(8 * int(np.prod(shape))))
    describe(folder, np.array(lengths, np.int64), shape, dtype)


def describe(folder: Path, lengths: np.ndarray, shape: tuple[int, ...], dtype: str) -> None:
    """Write down what a file of rows holds."""
    artifact_store.save(folder, offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))
    (folder / "form.json").write_text(json.dumps({"dtype": dtype, "shape": list(shape)}))
