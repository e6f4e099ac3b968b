"""Rank items by the number of their training events, the same for every user."""

import numpy as np
import torch
from torch import Tensor

from interestlab.baselines.baseline import Baseline
from interestlab.batch import Batch


class Popularity(Baseline):
    """Score an item by its number of training events.

    Args:
        item_counts: ``[N]`` number of training events of each item.
    """

    name = "popularity"

    def __init__(self, item_counts: np.ndarray) -> None:
        self.item_counts = item_counts

    def score(self, batch: Batch) -> Tensor:
        return torch.from_numpy(self.item_counts).float().to(batch.items.device).repeat(len(batch.users), 1)

    @property
    def num_items(self) -> int:
        return len(self.item_counts)

    @property
    def num_bytes(self) -> int:
        return int(self.item_counts.nbytes)
