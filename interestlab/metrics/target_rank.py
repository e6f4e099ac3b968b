"""Ranks of the users' targets, gathered over batches and processes."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class TargetRanks(NamedTuple):
    """Rank of each user's target in the full ranking.

    Attributes:
        users: ``[users]`` int64 index of the user.
        targets: ``[users]`` int64 index of the target item.
        num_higher: ``[users]`` int64 number of items that score above the target.
        num_tied: ``[users]`` int64 number of other items that score the same.
    """

    users: Tensor
    targets: Tensor
    num_higher: Tensor
    num_tied: Tensor


class TargetRankMetric(Metric):
    """Collects :class:`TargetRanks` over batches and processes. Each user must be evaluated once."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in TargetRanks._fields:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, ranks: TargetRanks) -> None:
        """Add the ranks of a batch.

        Args:
            ranks: ranks of the users of the batch.
        """
        for name, value in ranks._asdict().items():
            getattr(self, name).append(value)

    def compute(self) -> Tensor:
        """Return all ranks, sorted by user.

        Returns:
            ``[4, users]`` int64, the fields of :class:`TargetRanks`. One tensor, because torchmetrics turns a tuple of
            one-element tensors into scalars.
        """
        columns = torch.stack([dim_zero_cat(getattr(self, name)) for name in TargetRanks._fields]).cpu()
        return columns[:, columns[0].argsort()]

    def gather(self) -> TargetRanks:
        """Return the ranks of all users, over all batches and processes, sorted by user.

        Returns:
            One row per user.
        """
        return TargetRanks(*self.compute())
