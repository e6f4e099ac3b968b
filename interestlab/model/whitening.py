"""Map vectors to the width of the model by PCA, and scale each component to unit variance."""

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn

from interestlab.errors import DataError

ROWS_PER_CHUNK = 16_384
"""Rows that are read at once: the vectors may be larger than the memory."""

MIN_VARIANCE_RATIO = 1e-8
"""Components whose variance is a smaller part of the largest variance are set to zero: they are rounding errors."""


class Whitening(nn.Module):
    """A fixed affine map ``(x - mean) @ matrix`` after which the fitted vectors have mean 0 and identity covariance.

    The components are those of largest variance (PCA whitening; Su et al. 2021, arXiv 2103.15316). If the vectors vary in
    fewer than ``dim`` directions, the other components are zero. The map is in the state dict, so a loaded model is not
    fitted again. It has no trainable parameters.

    Args:
        in_dim: width of the vectors.
        dim: width of the result.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, in_dim: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("mean", torch.full((in_dim,), torch.nan))
        self.register_buffer("matrix", torch.full((in_dim, dim), torch.nan))
        self._fitted = False

    @property
    def is_fitted(self) -> bool:
        """Whether the map was fitted, or loaded from a checkpoint."""
        self._fitted = self._fitted or bool(self.mean.isfinite().all())
        return self._fitted

    def set_map(self, mean: np.ndarray, matrix: np.ndarray) -> None:
        """Set the map.

        Args:
            mean: ``[in_dim]``.
            matrix: ``[in_dim, dim]``.
        """
        self.mean.copy_(torch.from_numpy(np.array(mean)))
        self.matrix.copy_(torch.from_numpy(np.array(matrix)))

    def forward(self, x: Tensor) -> Tensor:
        """Whiten vectors.

        Args:
            x: ``[U, in_dim]``.

        Returns:
            ``[U, dim]``
        """
        return (x - self.mean.to(x.dtype)) @ self.matrix.to(x.dtype)

    def write_table(self, vectors: np.ndarray, out: np.ndarray) -> None:
        """Whiten all rows of a table, in float64.

        Args:
            vectors: ``[size, in_dim]``, possibly mapped from disk.
            out: ``[size, dim]``, which is filled.
        """
        mean, matrix = (tensor.double().cpu().numpy() for tensor in (self.mean, self.matrix))
        for start, chunk in _chunks(vectors):
            out[start : start + len(chunk)] = (chunk - mean) @ matrix


def fit_whitening(tables: Sequence[np.ndarray], dim: int, description: str = "the field") -> tuple[np.ndarray, np.ndarray]:
    """Fit PCA whitening.

    The sign of each component is the one that makes the largest element of its direction positive, so that a repeated fit
    gives the same map.

    Args:
        tables: vectors ``[size, in_dim]``, all of which count alike.
        dim: number of components to keep.
        description: names the vectors in an error or a warning.

    Returns:
        mean ``[in_dim]``, and matrix ``[in_dim, dim]``; float64.

    Raises:
        DataError: all vectors are equal, so that nothing remains after the mean is subtracted.
    """
    size, in_dim = sum(map(len, tables)), tables[0].shape[1]
    mean = sum(chunk.sum(0) for table in tables for _, chunk in _chunks(table)) / size
    covariance = np.zeros((in_dim, in_dim))
    num_chunks = sum(math.ceil(len(table) / ROWS_PER_CHUNK) for table in tables)
    chunks = (chunk for table in tables for _, chunk in _chunks(table))
    for chunk in track(chunks, f"whitening {size:,} values, once", num_chunks, disable=num_chunks < 8):
        centred = chunk - mean
        covariance += centred.T @ centred
    variances, directions = np.linalg.eigh(covariance / size)
    variances, directions = variances[::-1][:dim], directions[:, ::-1][:, :dim]
    noise = np.square(np.finfo(np.float32).eps * np.abs(mean).max())  # equal vectors differ by the rounding of the mean
    kept = variances > max(MIN_VARIANCE_RATIO * variances[0], noise)
    if not kept.any():
        raise DataError(f"all {size:,} values of {description} have the same vector, so none remains after whitening.")
    if size <= 2 * dim:
        warnings.warn(
            f"{description} has only {size:,} values: whitening to {dim} dimensions makes them nearly equally distant; set "
            "whiten to false or --model.dim to a smaller number.",
            stacklevel=2,
        )
    variances, directions = variances[kept], directions[:, kept]
    largest = np.abs(directions).argmax(0)
    signs = np.where(directions[largest, range(len(largest))] < 0, -1.0, 1.0)
    matrix = np.zeros((in_dim, dim))
    matrix[:, : len(variances)] = directions * signs / np.sqrt(variances)
    return mean, matrix


def _chunks(vectors: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Iterate over chunks of rows in float64, with the index of the first."""
    for start in range(0, len(vectors), ROWS_PER_CHUNK):
        yield start, vectors[start : start + ROWS_PER_CHUNK].astype(np.float64)
