"""Precomputed vectors of audio, time series, graphs or anything else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab.errors import DataError
from interestlab_encoders.vector_file import VectorFile


class Features(Encoder):
    """Precomputed vectors (audio, time series, graphs) from a Parquet or ``.npy`` file, looked up by a field's value.

    Nothing is trained. A value without a vector counts as missing; their number is logged. A checkpoint stores the hash of
    the file and loads only with the same contents.

    Args:
        file: a Parquet file of keys and vectors, as lists or as one number per column; or an ``.npy`` of shape
            ``[keys, width]`` next to a text file with the same name and the ending ``.keys``, one key per line.
        field: field whose values are looked up; ``item.id`` is the item.
        key: column of the keys in a Parquet file.
        columns: columns of a Parquet file, lists or numbers, that are concatenated to a vector; None: all except ``key``.
        standardize: scale each dimension to mean 0 and standard deviation 1 over the file.
        whiten: map the vectors to the width of the model by PCA and scale each component to variance 1 over the distinct
            values of the data, instead of by a learnt layer.

    Raises:
        DataError: the file cannot be read, a key appears twice, widths differ, or a number is not finite.
    """

    preprocess_key: str

    def __init__(
        self,
        file: str,
        field: str = "item.id",
        key: str = "item_id",
        columns: list[str] | None = None,
        standardize: bool = False,
        whiten: bool = False,
    ) -> None:
        super().__init__()
        self.fields, self.whiten = (field,), whiten
        self.file = Path(file).expanduser()
        self.vectors = VectorFile(self.file, key, columns, standardize)
        self.out_dim = self.vectors.width
        self.preprocess_key = f"features-1-{self.vectors.sha256}-{key}-{columns}-{standardize}"

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        return self.vectors.look_up(values)

    def forward(self, inputs: Inputs) -> Tensor:
        return (inputs.values * inputs.mask.unsqueeze(-1)).sum(1)

    def get_extra_state(self) -> Tensor:
        """Return the hash of the file for the checkpoint.

        Returns:
            ``[32]`` uint8.
        """
        return torch.frombuffer(bytearray.fromhex(self.vectors.sha256), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Compare the hash in a checkpoint with the hash of the file.

        Args:
            state: from :meth:`get_extra_state`.

        Raises:
            DataError: they differ.
        """
        expected, actual = bytes(state.tolist()).hex(), self.vectors.sha256
        if expected != actual:
            raise DataError(
                f"{self.file}: the model was trained with vectors whose sha256 is {expected[:12]}…, but this file has "
                f"{actual[:12]}…; use the file that it was trained with."
            )
