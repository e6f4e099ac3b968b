"""Find the items of highest score: exactly, or by an inverted file where that was measured to be as good."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from interestlab.serving.items import ItemTable

EXACT_UP_TO = 20_000
"""Catalogues up to this size are always searched exactly."""

REQUIRED_RECALL = 0.99
MEASURED_AT = 10
MEASURED_USERS = 1000
MIN_MEASURED_USERS = 100

OVER_FETCH = 2
"""An inverted file returns this many times the items that are wanted, of which exact scores choose."""

Ranked = list[tuple[int, float]]
"""Positions of items and their scores, best first."""


class Index(Protocol):
    """Finds the items of highest score for user states.

    Attributes:
        name: ``exact`` or ``ivf``.
        recall: measured share of the exact ten best that it finds; None if nothing was measured.
    """

    name: str
    recall: float | None

    def search(self, users: Tensor, k: int, excluded: Sequence[AbstractSet[int]]) -> list[Ranked]:
        """Return the items of highest score for each user, at most ``k``; equal scores in the order of the table.

        Args:
            users: ``[B, D]``, or ``[B, K, D]`` for K interests of which the best counts, ready to be compared.
            k: number of items.
            excluded: positions that are left out for each user; retired items are left out for all.
        """

    def add(self, position: int) -> None:
        """Include an item that was added to the table.

        Args:
            position: its position.
        """


class ExactIndex:
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
        if self.items.num_retired:
            scores[:, torch.from_numpy(self.items.is_retired)] = -torch.inf
        for row, left_out in zip(scores, excluded, strict=True):
            if left_out:
                row[list(left_out)] = -torch.inf
        values, positions = scores.topk(min(k, scores.shape[1]), 1)
        return [in_order(*row) for row in zip(positions.tolist(), values.tolist(), strict=True)]

    def add(self, position: int) -> None:
        """Nothing to do: every item of the table is scored."""


class InvertedFile:
    """A faiss inverted file (IVF) over the items; the exact scores of what it finds decide.

    Args:
        items: the items.
        probes: number of lists that are searched.
        lists: number of lists; None: four times the root of the number of items.
    """

    name = "ivf"

    def __init__(self, items: ItemTable, probes: int = 8, lists: int | None = None) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        vectors = np.ascontiguousarray(items.catalogue.numpy())
        self.items, self.lists = items, lists or int(4 * len(vectors) ** 0.5)
        self.exact = ExactIndex(items)
        quantizer = faiss.IndexFlatIP(vectors.shape[1])
        self._faiss: Any = faiss.IndexIVFFlat(quantizer, vectors.shape[1], self.lists, faiss.METRIC_INNER_PRODUCT)
        self._faiss.train(vectors)
        self._faiss.add(vectors)
        self.probes = probes
        self.recall: float | None = None

    @property
    def probes(self) -> int:
        """Number of lists that are searched."""
        return int(self._faiss.nprobe)

    @probes.setter
    def probes(self, probes: int) -> None:
        self._faiss.nprobe = min(probes, self.lists)

    def search(self, users: Tensor, k: int, excluded: Sequence[AbstractSet[int]]) -> list[Ranked]:
        queries = users.flatten(0, -2).contiguous().numpy()
        fetched = OVER_FETCH * k + max(map(len, excluded), default=0)
        _, found = self._faiss.search(queries, min(fetched, len(self.items)))
        found = found.reshape(len(users), -1)  # of all interests of a user
        retired, ranked = self.items.is_retired, []
        for i, left_out in enumerate(excluded):
            positions = np.unique(found[i])
            positions = np.array(
                [p for p in positions[positions >= 0].tolist() if p not in left_out and not retired[p]], np.int64
            )
            if len(positions) < min(k, len(self.items) - self.items.num_retired - len(left_out)):
                ranked += self.exact.search(users[i : i + 1], k, [left_out])  # too many of the found items are left out
                continue
            scores = users[i] @ self.items.catalogue[torch.from_numpy(positions)].T
            scores = scores.amax(0) if users.ndim == 3 else scores
            values, best = scores.topk(min(k, len(positions)))
            ranked.append(in_order(positions[best.numpy()].tolist(), values.tolist()))
        return ranked

    def add(self, position: int) -> None:
        self._faiss.add(self.items.catalogue[position : position + 1].numpy())


def in_order(positions: Sequence[int], scores: Sequence[float]) -> Ranked:
    """Sort items by falling score, then by position; leave out scores of minus infinity.

    Args:
        positions: positions of the items.
        scores: their scores.
    """
    pairs = ((p, s) for p, s in zip(positions, scores, strict=True) if s != -np.inf)
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


@torch.no_grad()
def choose_index(items: ItemTable, users: Tensor | None, exact_up_to: int = EXACT_UP_TO) -> tuple[Index, str]:
    """Return the index to use, and a sentence that says why.

    Args:
        items: the items.
        users: real user states, at best :data:`MEASURED_USERS`; None if there are none.
        exact_up_to: catalogues up to this size are searched exactly.
    """
    exact = ExactIndex(items)
    if len(items) <= exact_up_to:
        return exact, f"exact search of {len(items):,} items"
    if users is None or len(users) < MIN_MEASURED_USERS:
        count = 0 if users is None else len(users)
        return exact, f"exact search of {len(items):,} items: {count} user states are too few to measure the recall of an index"
    index = InvertedFile(items)
    while True:
        index.recall = measure_recall(index, exact, users)
        if index.recall >= REQUIRED_RECALL or index.probes * 4 > index.lists:
            break
        index.probes *= 2
    found = f"recall@{MEASURED_AT} {index.recall:.4f} on {len(users):,} user states with {index.probes} of {index.lists} lists"
    if index.recall >= REQUIRED_RECALL:
        return index, f"IVF over {len(items):,} items, {found}"
    return exact, f"exact search of {len(items):,} items: IVF reached {found}, below {REQUIRED_RECALL}"


def measure_recall(index: Index, exact: ExactIndex, users: Tensor, chunk: int = 64) -> float:
    """Return the mean share of the exact ten best items that an index finds.

    Args:
        index: the index.
        exact: the exact one.
        users: user states, ready to be compared.
        chunk: number of users that are searched for at once.
    """
    shares = []
    for first in range(0, len(users), chunk):
        part = users[first : first + chunk]
        nothing: list[AbstractSet[int]] = [frozenset()] * len(part)
        for found, best in zip(*(i.search(part, MEASURED_AT, nothing) for i in (index, exact)), strict=True):
            best_items = {position for position, _ in best}
            shares.append(len(best_items & {position for position, _ in found}) / len(best_items))
    return float(np.mean(shares))
