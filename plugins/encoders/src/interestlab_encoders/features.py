"""Vectors that something else computed: of audio, of time series, of graphs, of anything."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab.errors import DataError
from interestlab_encoders.vectors import Vectors


class Features(Encoder):
    """Precomputed vectors, looked up by the value of a field. Nothing of them is trained.

    A value without a vector counts as missing, and how many there are is told. A checkpoint remembers the contents of the
    file, and loads with no other.

    Args:
        file: a Parquet of keys and vectors, a list a row or a number a column; or an ``.npy`` of shape ``[keys, width]``
            beside a text file of its name with the ending ``.keys``, one key a line.
        field: whose values are looked up; ``item.id`` is the item.
        key: the column of keys of a Parquet.
        columns: of the Parquet, lists or numbers, that make up a vector side by side; None: all but ``key``.
        standardize: bring every dimension to mean 0 and deviation 1 over the file.

    Raises:
        DataError: the file cannot be read, a key stands twice, widths differ, or a number is not finite.
    """

    preprocess_key: str

    def __init__(
        self,
        file: str,
        field: str = "item.id",
        key: str = "item_id",
        columns: list[str] | None = None,
        standardize: bool = False,
    ) -> None:
        super().__init__()
        self.fields = (field,)
        self.file = Path(file).expanduser()
        self.vectors = Vectors(self.file, key, columns, standardize)
        self.out_dim = self.vectors.width
        self.preprocess_key = f"features-1-{self.vectors.sha256}-{key}-{columns}-{standardize}"

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        """``[1, out_dim]`` float32 of each value that has a vector, ``[0, out_dim]`` of one that has none."""
        return self.vectors(values)

    def forward(self, inputs: Inputs) -> Tensor:
        return (inputs.values * inputs.mask.unsqueeze(-1)).sum(1)

    def get_extra_state(self) -> Tensor:
        """Hash of the file, ``[32]`` uint8."""
        return torch.frombuffer(bytearray.fromhex(self.vectors.sha256), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Compare the hash of the file with that of the one that was trained with.

        Raises:
            DataError: they differ.
        """
        theirs, ours = bytes(state.tolist()).hex(), self.vectors.sha256
        if theirs != ours:
            raise DataError(
                f"{self.file}: the model was trained with vectors of sha256 {theirs[:12]}…, and these are {ours[:12]}…; "
                "give it those that it was trained with."
            )
