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
        max_history: number of events to read at most: the most recent ones, except that training reads longer histories in
            several windows, so that every position is trained on once per epoch.
        with_history_items: whether batches contain all items of each history; never in training.

    Attributes:
        users: ``[samples]`` int64 user index of each sample; in training, a user with a long history has several.
        lengths: ``[samples]`` int64 number of events that are read.
    """

    OVERLAP = 0.25
    """Share of a window that repeats the end of the window before it, as context without targets."""

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
        self.first_target = self.first
        if split == "train":
            self._use_all_positions(max_history)
        self.lengths = self.last - self.first

    def _use_all_positions(self, max_history: int) -> None:
        """Cover each history with windows, from its end backwards, and drop the windows without a target."""
        stride = max(1, round(max_history * (1 - self.OVERLAP)))
        counts = 1 + np.maximum(0, -(-(self.last - self.starts - max_history) // stride))
        index = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)  # 0 for the last window of a history
        self.users, self.starts, self.last = (np.repeat(a, counts) for a in (self.users, self.starts, self.last))
        self.last = self.last - index * stride
        self.first = np.maximum(self.starts, self.last - max_history)
        # An event in two windows is a target in the earlier one, which shows more of what came before it.
        earlier_last = np.where(self.first > self.starts, self.last - stride, self.starts)
        self.first_target = np.maximum(self.first, earlier_last)
        edges = np.stack([self.first_target + 1, self.last + 1], 1).ravel()
        # The appended event lets an edge be the end of the log.
        has_target = np.logical_or.reduceat(np.append(self.log.is_target, False), edges)[::2]
        for name in ("users", "starts", "first", "first_target", "last"):
            setattr(self, name, getattr(self, name)[has_target])

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, samples: list[int]) -> Batch:
        first, last, lengths = self.first[samples], self.last[samples], self.lengths[samples]
        rows, mask = self._window(first, last)
        targets = np.full(rows.shape, -1, np.int64)
        if self.split == "train":
            next_rows = rows[mask] + 1
            is_target = self.log.is_target[next_rows] & (rows >= self.first_target[samples][:, None])[mask]
            targets[mask] = np.where(is_target, self.log.item[next_rows], -1)
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
