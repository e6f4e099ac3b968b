"""Ranks of replayed events: by user states that have read a part of the history, and by untrained baselines."""

from collections.abc import Iterator

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from interestlab.baselines import Baseline
from interestlab.batch import Batch
from interestlab.data.sampler import bucket_by_length
from interestlab.inference.trajectory import ModelView, make_windows
from interestlab.metrics import target_ranks
from interestlab.replay.events import ReplayedEvents

console = Console(stderr=True)

Ranks = np.ndarray
"""``[n, 2]`` int64: for each event, the number of items that score above it, and of other items that score the same."""


@torch.no_grad()
def rank_by_states(view: ModelView, events: ReplayedEvents, read: np.ndarray, fallback: Ranks) -> Ranks:
    """Rank events by the states of their users, advanced to the time of the event.

    Cost: a pass over up to ``max_history`` events and a ranking of the catalogue for each distinct pair of event and state.

    Args:
        view: the trained model.
        events: the events.
        read: ``[p, n]`` int64 last row that the state has read, for p ways to refresh it; -1 where it has read none.
        fallback: ranks of the events whose user has no state.

    Returns:
        ``[p, n, 2]``
    """
    index = np.broadcast_to(np.arange(read.shape[1]), read.shape)
    pairs, where = np.unique(np.stack([index.ravel(), read.ravel()], 1), axis=0, return_inverse=True)
    ranks = fallback[pairs[:, 0]]
    known = np.flatnonzero(pairs[:, 1] >= 0)
    chosen = pairs[known, 0]
    for part, targets, history in chunks(view, events, chosen, "ranking by user states"):
        rows = events.rows[chosen[part]]
        states = view.frozen.normalize(view.states(pairs[known[part], 1], at=events.log.time[rows]))
        ranks[known[part]] = torch.stack(target_ranks(states, view.catalogue, targets, history), 1).numpy()
    return ranks[where.reshape(read.shape)]


@torch.no_grad()
def rank_by_baseline(view: ModelView, events: ReplayedEvents, baseline: Baseline) -> Ranks:
    """Rank events by a baseline that has read all events before them.

    Args:
        view: its log is that of the events.
        events: the events.
        baseline: computed from the training events.
    """
    log, reach = events.log, view.data.max_history
    ranks = np.empty((len(events.rows), 2), np.int64)
    everything = np.arange(len(events.rows))
    for part, targets, history in chunks(view, events, everything, f"ranking by {baseline.name}"):
        rows, begins = events.rows[part], events.begins[part]
        window, mask = make_windows(np.maximum(begins, rows - reach), np.maximum(rows - 1, begins))
        mask &= (rows > begins)[:, None]
        columns = np.full(window.shape, -1)
        columns[:, 0] = targets
        batch = Batch(
            users=torch.from_numpy(events.users[part]),
            items=torch.from_numpy(np.where(mask, log.item[window], 0).astype(np.int64)),
            event_index=torch.from_numpy(window),
            dt=torch.zeros(window.shape),
            mask=torch.from_numpy(mask),
            targets=torch.from_numpy(columns),
            history_items=history,
        )
        counted = baseline.rank_targets(batch)
        ranks[part] = torch.stack([counted.num_higher, counted.num_tied], 1).numpy()
    return ranks


def chunks(
    view: ModelView, events: ReplayedEvents, chosen: np.ndarray, description: str
) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """Divide events into chunks of histories of similar length.

    Args:
        view: its data says whether histories are excluded from the ranking.
        events: the events.
        chosen: ``[m]`` int64 indices of events, any number of times.
        description: for the progress bar.

    Yields:
        ``[b]`` positions in ``chosen``, ``[b]`` items of the events, and ``[b, S]`` items to exclude, padded with -1.
    """
    log, rows, begins = events.log, events.rows[chosen], events.begins[chosen]
    buckets = list(bucket_by_length(rows - begins + 1, view.data.eval_events, tie_break=rows))
    for part in track(buckets, description, console=console, transient=True):
        targets = torch.from_numpy(log.item[rows[part]].astype(np.int64))
        if view.data.exclude_history:
            window, mask = make_windows(begins[part], rows[part])
            mask &= window < rows[part][:, None]
            history = torch.from_numpy(np.where(mask, log.item[window], -1).astype(np.int64))
        else:
            history = torch.empty(len(part), 0, dtype=torch.int64)
        yield part, targets, history
