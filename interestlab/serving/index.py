"""Find the items of highest score; here by scoring all of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import chain

import numpy as np
from torch import Tensor

from interestlab.serving.items import ItemTable

Ranked = list[tuple[int, float]]
"""Positions of items and their scores, best first."""


class Index(ABC):
    """Finds the items of highest score for user states.

    Attributes:
        name: ``exact`` or ``ivf``.
        recall: measured share of the exact ten best that it finds; None if nothing was measured.
    """

    name: str
    recall: float | None

    @abstractmethod
    def search(self, users: Tensor, k: int, excluded: Sequence[AbstractSet[int]]) -> list[Ranked]:
        """Return the items of highest score for each user, at most ``k``; equal scores in the order of the table.

        Args:
            users: ``[B, D]``, or ``[B, K, D]`` for K interests of which the best counts, ready to be compared.
            k: number of items.
            excluded: positions that are left out for each user; retired items are left out for all.
        """

    @abstractmethod
    def add(self, position: int) -> None:
        """Include an item that was added to the table.

        Args:
            position: its position.
        """


class ExactIndex(Index):
    """Scores every item in float32.

    Args:
        items: the items.
    """

    name = "exact"

    def __init__(self, items: ItemTable) -> None:
        self.items = items
        self.recall: float | None = None

    def search(self, users: Tensor, k: int, excluded: Sequence[AbstractSet[int]]) -> list[Ranked]:
        scores = users @ self.items.catalogue.T
        scores = scores.amax(1) if users.ndim == 3 else scores
        table = scores.numpy()  # the same memory; writing to many places is faster with NumPy
        if self.items.num_retired:
            table[:, self.items.is_retired] = -np.inf
        rows = np.repeat(np.arange(len(users)), [len(left_out) for left_out in excluded])
        table[rows, np.fromiter(chain.from_iterable(excluded), np.int64, len(rows))] = -np.inf
        values, positions = scores.topk(min(k, scores.shape[1]), 1)
        return [in_order(*row) for row in zip(positions.tolist(), values.tolist(), strict=True)]

    def add(self, position: int) -> None:
        """Nothing to do: every item of the table is scored."""


def in_order(positions: Sequence[int], scores: Sequence[float]) -> Ranked:
    """Sort items by falling score, then by position; leave out scores of minus infinity.

    Args:
        positions: positions of the items.
        scores: their scores.
    """
    pairs = ((p, s) for p, s in zip(positions, scores, strict=True) if s > -np.inf)
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
