"""The items that are served: those of the run, and those that came later."""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from interestlab.errors import DataError

FIRST_SPARE = 64
"""Rows that are free at first; the table doubles when it is full."""


class ItemTable:
    """Vectors of items, in float32. Items are added at the end and never removed, so that a position keeps its meaning.

    Args:
        ids: id of each item.
        vectors: ``[N, D]`` as the dynamics reads them.
        catalogue: ``[N, D]`` ready to be compared with user states.
        counts: ``[M]`` training events of the first M items; the others have none.
    """

    def __init__(self, ids: Sequence[str], vectors: Tensor, catalogue: Tensor, counts: np.ndarray) -> None:
        self.ids = list(ids)
        self.positions = {item_id: position for position, item_id in enumerate(self.ids)}
        self.num_trained = len(self.ids)
        self._vectors, self._catalogue = vectors, catalogue
        self._is_retired = np.zeros(len(vectors), bool)
        self.counts = np.zeros(len(self.ids), np.int64)
        self.counts[: len(counts)] = counts
        # Popularity is that of the training log, so it changes with the model alone.
        self.by_popularity = np.argsort(-self.counts, kind="stable").tolist()
        self.num_retired = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def vectors(self) -> Tensor:
        """``[N, D]`` as the dynamics reads them."""
        return self._vectors[: len(self.ids)]

    @property
    def catalogue(self) -> Tensor:
        """``[N, D]`` ready to be compared with user states."""
        return self._catalogue[: len(self.ids)]

    @property
    def is_retired(self) -> np.ndarray:
        """``[N]`` bool, whether an item must not be recommended."""
        return self._is_retired[: len(self.ids)]

    def added(self) -> Iterator[tuple[str, Tensor]]:
        """Return the items that came later: their ids, and vectors ``[D]`` as the dynamics reads them."""
        yield from zip(self.ids[self.num_trained :], self.vectors[self.num_trained :], strict=True)

    def copy(self) -> "ItemTable":
        """Return the items as they are now; it does not change when this table does."""
        twin = copy.copy(self)
        twin.ids, twin.positions, twin.by_popularity = self.ids.copy(), self.positions.copy(), self.by_popularity.copy()
        twin._is_retired = self._is_retired.copy()
        return twin  # rows of vectors never change once an item has them, so they are shared

    def count_of(self, position: int) -> float:
        """Return the number of training events of an item.

        Args:
            position: its position.
        """
        return float(self.counts[position]) if position < self.num_trained else 0.0

    def find(self, item_id: str) -> int | None:
        """Return the position of an item; None if there is no such item.

        Args:
            item_id: its id; white space around it does not count, as in a log.
        """
        return self.positions.get(item_id.strip())

    def add(self, item_id: str, vector: Tensor, compared: Tensor) -> int:
        """Add an item, and return its position.

        Args:
            item_id: its id.
            vector: ``[D]`` as the dynamics reads it.
            compared: ``[D]`` ready to be compared.

        Raises:
            DataError: there is such an item.
        """
        if item_id in self.positions:
            raise DataError(f"there is an item {item_id} already.")
        position = len(self.ids)
        if position == len(self._vectors):
            spare = max(FIRST_SPARE, position)
            empty = self._vectors.new_zeros(spare, self._vectors.shape[1])
            self._vectors, self._catalogue = torch.cat([self._vectors, empty]), torch.cat([self._catalogue, empty])
            self._is_retired = np.append(self._is_retired, np.zeros(spare, bool))
        self._vectors[position], self._catalogue[position] = vector, compared
        self.ids.append(item_id)
        self.positions[item_id] = position
        self.by_popularity.append(position)
        return position

    def set_retired(self, position: int, retired: bool) -> None:
        """Retire an item, or restore it.

        Args:
            position: its position.
            retired: whether it is retired from now on.
        """
        self.num_retired += int(retired) - int(self._is_retired[position])
        self._is_retired[position] = retired
