"""The place of every user's target, gathered over batches and processes."""

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat


class TargetRanks(NamedTuple):
    """Where each user's target stands in the full ranking, sorted by user.

    Attributes:
        users, targets: ``[users]`` int64 indices.
        better: ``[users]`` int64 items that score above the target.
        equal: ``[users]`` int64 other items that score the same.
    """

    users: Tensor
    targets: Tensor
    better: Tensor
    equal: Tensor


class TargetRankMetric(Metric):
    """Collects :class:`TargetRanks`; exact over processes, since no user is scored twice."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in TargetRanks._fields:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, places: TargetRanks) -> None:
        for name, value in places._asdict().items():
            getattr(self, name).append(value)

    def compute(self) -> Tensor:
        """``[4, users]``: the columns of :class:`TargetRanks`; one tensor, as torchmetrics takes lone elements for scalars."""
        columns = torch.stack([dim_zero_cat(getattr(self, name)) for name in TargetRanks._fields]).cpu()
        return columns[:, columns[0].argsort()]

    def gather(self) -> TargetRanks:
        """The places of all users, over all batches and processes."""
        return TargetRanks(*self.compute())
