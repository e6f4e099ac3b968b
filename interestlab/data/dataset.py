"""Build batches from user histories."""

import numpy as np
import torch
from torch.utils.data import Dataset

from interestlab.batch import Batch
from interestlab.data.event_store import EventStore
from interestlab.data.split import SplitName

DAY = 86_400.0
"""Seconds per day."""


class HistoryDataset(Dataset[Batch]):
    """Histories of users; indexing with a list of samples returns them as one batch.

    Args:
        log: the event store.
        split: ``train`` (every next event that can be a target is one), ``validation`` or ``test`` (the target of that
            split), or ``predict`` (all events are history, and there is no target).
        max_history: number of most recent events to read.
        with_history_items: whether batches contain all items of each history; never in training.

    Attributes:
        users: ``[samples]`` int64 user index of each sample.
        lengths: ``[samples]`` int64 number of events that are read.
    """

    def __init__(self, log: EventStore, split: SplitName, max_history: int, with_history_items: bool) -> None:
        self.log, self.split = log, split
        self.with_history_items = with_history_items and split != "train"
        starts, lengths, positions = log.offsets[:-1], np.diff(log.offsets), log.split_positions
        ends: dict[SplitName, np.ndarray] = {
            "train": positions.train - 1,
            "validation": positions.validation,
            "test": positions.test,
            "predict": lengths,
        }
        end = ends[split]
        self.users = np.flatnonzero(end > 0)
        self.starts = starts[self.users]
        self.last = self.starts + end[self.users]
        self.first = np.maximum(self.starts, self.last - max_history)
        if split == "train":  # drop windows without a target
            edges = np.stack([self.first + 1, self.last + 1], 1).ravel()
            has_target = np.logical_or.reduceat(log.is_target, edges[edges < len(log.is_target)])[::2]
            self.users, self.starts = self.users[has_target], self.starts[has_target]
            self.first, self.last = self.first[has_target], self.last[has_target]
        self.lengths = self.last - self.first

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, samples: list[int]) -> Batch:
        first, last, lengths = self.first[samples], self.last[samples], self.lengths[samples]
        rows, mask = self._window(first, last)
        targets = np.full(rows.shape, -1, np.int64)
        if self.split == "train":
            next_rows = rows[mask] + 1
            targets[mask] = np.where(self.log.is_target[next_rows], self.log.item[next_rows], -1)
        elif self.split != "predict":
            targets[np.arange(len(samples)), lengths - 1] = self.log.item[last]
        times = self.log.time[rows]
        dt = np.diff(times, axis=1, prepend=times[:, :1]) / DAY
        starts = self.starts[samples]
        history_rows, history_mask = self._window(starts, last if self.with_history_items else starts)
        return Batch(
            users=torch.from_numpy(self.users[samples]),
            items=torch.from_numpy(np.where(mask, self.log.item[rows], 0).astype(np.int64)),
            event_index=torch.from_numpy(rows),
            dt=torch.from_numpy(np.where(mask, dt, 0).astype(np.float32)),
            mask=torch.from_numpy(mask),
            targets=torch.from_numpy(targets),
            history_items=torch.from_numpy(np.where(history_mask, self.log.item[history_rows], -1).astype(np.int64)),
        )

    @staticmethod
    def _window(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ``[B, T]`` rows from first to last (exclusive), 0 in the padding, and their mask."""
        rows = first[:, None] + np.arange((last - first).max(initial=0))
        mask = rows < last[:, None]
        return np.where(mask, rows, 0), mask
