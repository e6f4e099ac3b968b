"""A ragged array on disk: variable-length rows of numbers in one flat file, memory-mapped."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from interestlab.batch import Inputs
from interestlab.utils import artifact_store

STORAGE_DTYPES = {"bfloat16": "int16"}
"""NumPy has no bfloat16: its bits are stored as an integer type of the same width."""


class RaggedArray:
    """The rows of every distinct value of a field: tokens, or the output of an encoder's frozen trunk.

    Args:
        folder: folder that :func:`write` or :func:`allocate` filled.
        mode: ``r`` to read, ``w+`` to create the data file.

    Attributes:
        lengths: ``[size]`` int64 number of rows of each value.
    """

    def __init__(self, folder: Path, mode: Literal["r", "w+"] = "r") -> None:
        layout = json.loads((folder / "layout.json").read_text())
        self._offsets = artifact_store.load(folder, "offsets")
        self.lengths: np.ndarray = np.diff(self._offsets)
        self._dtype, self._shape = layout["dtype"], tuple(layout["shape"])
        # An empty file cannot be memory-mapped.
        size = (max(1, int(self._offsets[-1])), *self._shape)
        self._data = np.memmap(folder / "data.bin", STORAGE_DTYPES.get(self._dtype, self._dtype), mode, shape=size)

    def inputs(self, codes: np.ndarray) -> Inputs:
        """Return values as encoder inputs, padded with zeros to the longest among them.

        Args:
            codes: ``[U]`` int, which values.

        Returns:
            Values ``[U, L, *shape]`` and lengths ``[U]``.
        """
        rows, mask = self._flat_rows(codes)
        padded = np.zeros((*mask.shape, *self._shape), self._data.dtype)
        padded[mask] = self._data[rows]
        values = torch.from_numpy(padded)
        values = values.view(torch.bfloat16) if self._dtype in STORAGE_DTYPES else values
        return Inputs(values, torch.from_numpy(self.lengths[codes].astype(np.int64)))

    def fill(self, codes: np.ndarray, values: Tensor) -> None:
        """Store the rows of some values, in the layout that :meth:`inputs` returns.

        Args:
            codes: ``[U]`` int, which values.
            values: ``[U, L, *shape]``, padded; any floating-point dtype.
        """
        rows, mask = self._flat_rows(codes)
        values = values[torch.from_numpy(mask).to(values.device)].cpu()
        if self._dtype in STORAGE_DTYPES:
            values = values.to(torch.bfloat16).view(torch.int16)
        elif values.dtype == torch.bfloat16:  # from a model in half precision
            values = values.float()
        self._data[rows] = values.numpy()

    def flush(self) -> None:
        """Write filled rows to disk."""
        self._data.flush()

    def _flat_rows(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``[n]`` indices into the flat file, and the ``[U, L]`` mask of the positions that they fill."""
        lengths = self.lengths[codes]
        position = np.arange(lengths.max(initial=0))
        mask = position < lengths[:, None]
        return (self._offsets[codes][:, None] + position)[mask], mask


def allocate(folder: Path, lengths: np.ndarray, shape: tuple[int, ...], dtype: str) -> RaggedArray:
    """Create a ragged array of known lengths, to be filled in any order.

    Args:
        folder: an existing folder.
        lengths: ``[size]`` int64 number of rows of each value.
        shape: shape of one row.
        dtype: ``float32`` or ``bfloat16``, or any NumPy type.

    Returns:
        The array, all zeros.
    """
    _write_layout(folder, lengths, shape, dtype)
    return RaggedArray(folder, "w+")


def write(folder: Path, chunks: Iterable[list[np.ndarray]]) -> None:
    """Write the rows of all values in order.

    Args:
        folder: an existing folder.
        chunks: lists with one array ``[length, *shape]`` per value.
    """
    lengths: list[int] = []
    shape: tuple[int, ...] = ()
    dtype = "int32"
    with (folder / "data.bin").open("wb") as file:
        for rows in chunks:
            shape, dtype = rows[0].shape[1:], rows[0].dtype.str
            lengths += [len(row) for row in rows]
            file.write(np.concatenate(rows).tobytes())
        if not file.tell():
            file.write(bytes(8 * int(np.prod(shape))))
    _write_layout(folder, np.array(lengths, np.int64), shape, dtype)


def _write_layout(folder: Path, lengths: np.ndarray, shape: tuple[int, ...], dtype: str) -> None:
    artifact_store.save(folder, offsets=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))
    (folder / "layout.json").write_text(json.dumps({"dtype": dtype, "shape": list(shape)}))
