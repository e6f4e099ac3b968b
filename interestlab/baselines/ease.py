"""EASE: the linear item-item model that reconstructs the training histories best, in closed form."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse

from interestlab.baselines.baseline import LinearBaseline
from interestlab.batch import Batch
from interestlab.data.event_store import EventStore
from interestlab.utils.argument_checks import require_at_least

ROWS_PER_BLOCK = 1024
"""Number of rows that are mirrored at a time."""


@dataclass(frozen=True)
class EaseSettings:
    """Settings of EASE.

    Args:
        l2: weight of the squared norm of the item-item weights, the λ of the paper; larger for larger logs.
        max_items: largest catalogue for which EASE is computed: its matrix has items × items entries of 8 bytes.
    """

    l2: float = 500.0
    max_items: int = 20_000

    def __post_init__(self) -> None:
        require_at_least(0, max_items=self.max_items)
        if not self.l2 > 0:
            raise ValueError(f"l2 must be above 0, not {self.l2}.")

    def reason_to_skip(self, num_items: int) -> str | None:
        """Return why EASE is not computed for a catalogue, or None if it is.

        Args:
            num_items: size of the catalogue.
        """
        if num_items <= self.max_items:
            return None
        return f"{num_items:,} items are more than max_items={self.max_items:,}"


class Ease(LinearBaseline):
    r"""EASE (Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, arXiv 1905.03375).

    With the binary matrix X of users and the items of their training events, the weights B minimise
    :math:`\lVert X - XB \rVert^2_F + \lambda \lVert B \rVert^2_F` under a zero diagonal:
    :math:`B_{ij} = -P_{ij} / P_{jj}` for :math:`i \ne j`, where :math:`P = (X^\top X + \lambda I)^{-1}`. The score of item j
    is the sum of :math:`B_{ij}` over the distinct items i of the history, in any order.

    Cost: items³ multiplications and additions, and items² numbers of float64.

    Args:
        log: the event store; only its training events are read.
        settings: λ.
    """

    name = "ease"

    def __init__(self, log: EventStore, settings: EaseSettings | None = None) -> None:
        users = user_item_matrix(log)
        super().__init__(solve_ease((users.T @ users).toarray(order="F"), (settings or EaseSettings()).l2))

    def weights(self, batch: Batch) -> scipy.sparse.csr_array:
        items, mask = batch.items.cpu().numpy(), batch.mask.cpu().numpy()
        return binary_matrix(np.nonzero(mask)[0], items[mask], (len(items), self.num_items))


def solve_ease(gram: np.ndarray, l2: float) -> np.ndarray:
    """Compute the weights of EASE by a Cholesky decomposition.

    Args:
        gram: ``[N, N]`` float64 in Fortran order, the number of users that have both items; overwritten.
        l2: λ.

    Returns:
        ``[N, N]`` float64 in C order, with a zero diagonal; the memory of ``gram``.
    """
    np.fill_diagonal(gram, gram.diagonal() + l2)
    factor, _ = scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    inverse, info = scipy.linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    assert info == 0, "a positive l2 makes the matrix positive definite"
    for first in range(0, len(inverse), ROWS_PER_BLOCK):  # only the lower triangle was computed
        block = slice(first, first + ROWS_PER_BLOCK)
        lower = np.tril(inverse[block, block])
        inverse[block, block] = lower + np.tril(lower, -1).T
        inverse[block, block.stop :] = inverse[block.stop :, block].T
    weights: np.ndarray = inverse.T  # symmetric, so this is the same matrix in C order
    weights /= -weights.diagonal().copy()
    np.fill_diagonal(weights, 0)
    return weights


def user_item_matrix(log: EventStore) -> scipy.sparse.csr_array:
    """Return which items occur in the training events of each user.

    Args:
        log: the event store.

    Returns:
        ``[users, N]`` float64 of 0 and 1.
    """
    lengths = log.split_positions.train
    users = np.repeat(np.arange(len(lengths)), lengths)
    rows = np.arange(len(users)) + np.repeat(log.offsets[:-1] - (np.cumsum(lengths) - lengths), lengths)
    return binary_matrix(users, log.item[rows], (len(lengths), log.meta["items"]))


def binary_matrix(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> scipy.sparse.csr_array:
    """Return a sparse matrix with 1 at each given entry, also where an entry is given several times.

    Args:
        rows: ``[n]`` row of each entry.
        columns: ``[n]`` column of each entry.
        shape: shape of the matrix.
    """
    matrix = scipy.sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=shape).tocsr()
    matrix.data[:] = 1
    return matrix
