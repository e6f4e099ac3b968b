"""Histories -> batches: of like lengths, so that little is padding, and of bounded size."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from interestlab.batch import Batch
from interestlab.data.event_store import EventStore

DAY = 86_400.0


class HistoryDataset(Dataset[Batch]):
    """Histories of users; indexed by a list of samples, it gives them as one batch.

    Args:
        log: where the histories are.
        part: ``train`` (the next event is a target wherever it can be one), ``validation`` or ``test`` (the held-out event is),
            ``predict`` (all events are history and nothing is a target).
        max_history: how many last events of a history are read.
        seen: whether batches carry all items of each history.
    """

    def __init__(
        self, log: EventStore, part: Literal["train", "validation", "test", "predict"], max_history: int, seen: bool
    ) -> None:
        self.log, self.part, self.seen = log, part, seen and part != "train"
        begins, lengths = log.offsets[:-1], np.diff(log.offsets)
        ends = {"train": log.cuts.train - 1, "predict": lengths} | {p: getattr(log.cuts, p) for p in ("validation", "test")}
        end = ends[part]
        self.users = np.flatnonzero(end > 0)
        self.begins = begins[self.users]
        self.last = self.begins + end[self.users]
        self.first = np.maximum(self.begins, self.last - max_history)
        if part == "train":  # a window without a target teaches nothing
            edges = np.stack([self.first + 1, self.last + 1], 1).ravel()
            held = np.logical_or.reduceat(log.wanted, edges[edges < len(log.wanted)])[::2]
            self.users, self.begins, self.first, self.last = (a[held] for a in (self.users, self.begins, self.first, self.last))
        self.lengths = self.last - self.first

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, samples: list[int]) -> Batch:
        first, last, lengths = self.first[samples], self.last[samples], self.lengths[samples]
        rows, mask = self._window(first, last)
        targets = np.full(rows.shape, -1, np.int64)
        if self.part == "train":
            coming = rows[mask] + 1
            targets[mask] = np.where(self.log.wanted[coming], self.log.item[coming], -1)
        elif self.part != "predict":
            targets[np.arange(len(samples)), lengths - 1] = self.log.item[last]
        times = self.log.time[rows]
        dt = np.diff(times, axis=1, prepend=times[:, :1]) / DAY
        seen_rows, seen_mask = self._window(self.begins[samples], last if self.seen else self.begins[samples])
        return Batch(
            users=torch.from_numpy(self.users[samples]),
            items=torch.from_numpy(np.where(mask, self.log.item[rows], 0).astype(np.int64)),
            event_index=torch.from_numpy(rows),
            dt=torch.from_numpy(np.where(mask, dt, 0).astype(np.float32)),
            mask=torch.from_numpy(mask),
            targets=torch.from_numpy(targets),
            history_items=torch.from_numpy(np.where(seen_mask, self.log.item[seen_rows], -1).astype(np.int64)),
        )

    @staticmethod
    def _window(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``[B, T]`` rows from first to last (exclusive) and which of them are real; 0 in the padding."""
        rows = first[:, None] + np.arange((last - first).max(initial=0))
        mask = rows < last[:, None]
        return np.where(mask, rows, 0), mask


class LengthBatches(Sampler[list[int]]):
    """Batches of samples of like length, of at most ``max_events`` events with the padding.

    Every process draws the same batches and takes its share of each, so that a step sees the same samples whatever
    the number of processes; where a batch would have fewer samples than there are processes, it takes in others.
    A plain order when not shuffled.

    Args:
        lengths: ``[samples]`` events of each.
        max_events: users × longest history of a batch.
        shuffle: whether who meets whom, and the order of the batches, change with the epoch.
        seed: of the shuffling.
        rank: which process this is.
        world: of how many.
    """

    def __init__(
        self, lengths: np.ndarray, max_events: int, *, shuffle: bool, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.lengths, self.max_events, self.shuffle, self.seed = lengths, max_events, shuffle, seed
        self.rank, self.world, self.epoch, self.done = rank, world, 0, 0
        ascending = np.sort(lengths)
        self.bounds = bounds(ascending, max_events, world)
        self.most = len(self.bounds if world == 1 else bounds(ascending, max_events, 1)) - 1

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        if epoch != self.epoch:
            self.epoch, self.done = epoch, 0

    def go_on(self, epoch: int, done: int) -> None:
        """Leave out the first batches of an epoch, which were trained on before."""
        self.epoch, self.done = epoch, done

    def batches(self) -> list[np.ndarray]:
        """The samples of each batch of this epoch, over all processes."""
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths)) if self.shuffle else np.arange(len(self.lengths))
        order = order[np.argsort(self.lengths[order], kind="stable")]
        batches = [order[first:last] for first, last in pairwise(self.bounds)]
        # In the order of one process, so that batches of another number of processes come when they would there.
        return [batches[i] for i in rng.permutation(self.most) if i < len(batches)] if self.shuffle else batches

    def __iter__(self) -> Iterator[list[int]]:
        return iter([share for batch in self.batches()[self.done :] if (share := batch[self.rank :: self.world].tolist())])

    def __len__(self) -> int:
        return len(self.bounds) - 1


def bounds(lengths: np.ndarray, max_events: int, least: int) -> list[int]:
    """Where batches of samples of ascending ``lengths`` begin, and where the last ends; each has ``least`` samples or more."""
    found = [0]
    while (start := found[-1]) < len(lengths):
        stop = min(len(lengths), start + max(1, max_events // int(lengths[start])))
        # Longer samples at the end make the whole batch longer: fewer fit.
        while stop - start > 1 and int(lengths[stop - 1]) * (stop - start) > max_events:
            stop = start + max(1, max_events // int(lengths[stop - 1]))
        found.append(min(len(lengths), max(stop, start + least)))
    if len(found) > 2 and found[-1] - found[-2] < least:
        del found[-2]  # every process needs a sample in every step
    return found
