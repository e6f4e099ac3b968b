"""The interface of a baseline, and the ranks of a batch of users."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import scipy.sparse
import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.batch import Batch
from interestlab.metrics import TargetRanks, ranking, target_ranks_of_scores


class Baseline(ABC):
    """A recommender that is computed from the training events without gradient steps.

    A baseline reads what a model reads: the items of a batch, the last ``--data.max_history`` events of each user.
    """

    name: ClassVar[str]
    """Name in tables and files."""

    num_added: int = 0
    """Number of further items at the end of the catalogue, which no event contains; they score 0."""

    @abstractmethod
    def score(self, batch: Batch) -> Tensor:
        """Score every item of the catalogue for each user.

        Args:
            batch: a few histories; the result is small enough for memory.

        Returns:
            ``[B, N]`` on the device of the batch.
        """

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """Size of the arrays that the baseline scores with."""

    def rank_targets(self, batch: Batch) -> TargetRanks:
        """Rank each user's target in the whole catalogue, in tiles of users that are small enough for memory.

        Args:
            batch: the histories and their targets, of any number of users.
        """
        users_per_tile = max(1, ranking.TILE // self.num_items)
        ranks = []
        for first in range(0, len(batch.users), users_per_tile):
            part = Batch(*(column[first : first + users_per_tile] for column in batch))
            targets = part.targets.max(1).values
            scores = F.pad(self.score(part), (0, self.num_added))
            counts = target_ranks_of_scores(scores, targets, part.history_items)
            ranks.append(TargetRanks(part.users, targets, *counts))
        return TargetRanks(*(torch.cat(columns) for columns in zip(*ranks, strict=True)))

    @property
    @abstractmethod
    def num_items(self) -> int:
        """Size of the catalogue, N."""


class LinearBaseline(Baseline):
    """A linear item-item model: a user's scores are ``w @ M``, where ``w [N]`` weights the items of the history.

    Args:
        matrix: ``[N, N]``, sparse or dense.
    """

    def __init__(self, matrix: "scipy.sparse.csr_array | np.ndarray") -> None:
        self.matrix = matrix

    @abstractmethod
    def weights(self, batch: Batch) -> scipy.sparse.csr_array:
        """Weight the items of each history.

        Args:
            batch: the histories.

        Returns:
            ``[B, N]`` float64.
        """

    def score(self, batch: Batch) -> Tensor:
        product, device = self.weights(batch) @ self.matrix, batch.items.device
        if isinstance(product, np.ndarray):
            return torch.from_numpy(product).float().to(device)
        scores = torch.zeros(product.shape, dtype=torch.float32, device=device)
        product = product.tocoo()
        rows, columns = (torch.from_numpy(index.astype(np.int64)).to(device) for index in (product.row, product.col))
        scores[rows, columns] = torch.from_numpy(product.data).float().to(device)
        return scores

    @property
    def num_items(self) -> int:
        return int(self.matrix.shape[0])

    @property
    def num_bytes(self) -> int:
        if isinstance(self.matrix, np.ndarray):
            return self.matrix.nbytes
        return sum(int(array.nbytes) for array in (self.matrix.data, self.matrix.indices, self.matrix.indptr))
