"""Search many items with a faiss inverted file, and rank what it finds by exact scores."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interestlab.serving.index import ExactIndex, Index, Ranked, in_order
from interestlab.serving.items import ItemTable

OVER_FETCH = 2
"""It fetches this many times the items that are wanted."""


class InvertedFile(Index):
    """A faiss inverted file (IVF) over the items. What it finds is ranked by exact scores.

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
