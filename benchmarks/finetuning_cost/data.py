"""The batches that both sides train on, and their titles as tokens."""

import argparse
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.finetuning_cost.methods import FIELD
from benchmarks.harness.data import log_source
from benchmarks.harness.reference import MAX_HISTORY
from interestlab import encoders
from interestlab.batch import Batch
from interestlab.contract import Encoder
from interestlab.data.datamodule import InterestData
from interestlab.data.dataset import HistoryDataset
from interestlab.data.fields import FieldValues


class SampledBatches(InterestData):
    """Data whose training epoch consists of given batches.

    Args:
        batches: indices of the users of each batch.
        kwargs: arguments of :class:`InterestData`.
    """

    def __init__(self, batches: list[list[int]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batches = batches

    @property
    def histories(self) -> HistoryDataset:
        """The training histories of all users."""
        return HistoryDataset(self.log, "train", self.max_history, self.exclude_history)

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.histories, sampler=self.batches, batch_size=None, pin_memory=torch.cuda.is_available())


def load_data(options: argparse.Namespace, folder: Path, batches: list[list[int]]) -> SampledBatches:
    """Return the data of the command line, whose epoch consists of the given batches.

    Args:
        options: the command line.
        folder: folder of the benchmark; all processes share a cache there.
        batches: indices of the users of each batch.
    """
    return SampledBatches(
        batches,
        source=log_source(options),
        max_history=MAX_HISTORY,
        batch_events=options.batch_events,
        cache_dir=str(folder / "cache"),
    )


def tokenize_titles(options: argparse.Namespace, data: SampledBatches) -> FieldValues:
    """Return the titles of the catalogue as tokens."""
    return data.feature(cast(Encoder, encoders.frozen(fields=[FIELD], max_length=options.max_length)), FIELD)


def log_popularity(data: SampledBatches) -> Tensor:
    """Return ``[N]`` the log of each item's share of the training events."""
    counts = np.maximum(data.log.counts, 1)
    return torch.from_numpy(np.log(counts / counts.sum())).float()


def occurrences(batch: Batch) -> Tensor:
    """Return ``[E + B]`` the item of every real event of a batch, followed by the last target of every user."""
    last = batch.targets[torch.arange(len(batch.users), device=batch.mask.device), batch.mask.sum(1) - 1]
    return torch.cat([batch.items[batch.mask], last])
