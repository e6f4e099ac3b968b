"""Measure a replay: the metrics of each way to refresh the user states, and of the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from interestlab.baselines import Cooccurrence, Popularity
from interestlab.inference.trajectory import ModelView
from interestlab.metrics import TargetRanks, per_user_metrics
from interestlab.replay.events import ReplayedEvents
from interestlab.replay.ranks import Ranks, rank_by_baseline, rank_by_states

UNITS = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}


@dataclass(frozen=True)
class Row:
    """One way to rank the replayed events.

    Attributes:
        name: how states are refreshed, or the name of a baseline.
        metrics: by metric, ``[users]`` mean over the events of each user.
        with_state: share of the events whose user had a state, and was not ranked by popularity; None for a baseline.
        behind: share of the events before which the state had not read the user's latest event; None for a baseline.
    """

    name: str
    metrics: Mapping[str, np.ndarray]
    with_state: float | None = None
    behind: float | None = None


def measure(view: ModelView, events: ReplayedEvents, periods: Sequence[int], ks: Sequence[int]) -> list[Row]:
    """Rank every replayed event before it is read.

    Args:
        view: the trained model.
        events: the events.
        periods: seconds between two refreshes of the user states; 0: at each event.
        ks: cut-offs of the metrics.

    Returns:
        One row per period, one for states that are never refreshed, and one per baseline.
    """
    log = events.log
    popularity, cooccurrence = Popularity(log.counts), Cooccurrence(log)
    by_popularity = rank_by_baseline(view, events, popularity)
    ways: list[int | None] = [*periods, None]
    read = np.stack([events.last_rows_read(period) for period in ways])
    latest = events.last_rows_read(0)
    ranks = rank_by_states(view, events, read, by_popularity)
    rows = [
        Row(label(period), user_means(events, by_state, ks), float((last >= 0).mean()), float((last < latest).mean()))
        for period, by_state, last in zip(ways, ranks, read, strict=True)
    ]
    by_count = {popularity.name: by_popularity, cooccurrence.name: rank_by_baseline(view, events, cooccurrence)}
    return rows + [Row(name, user_means(events, r, ks)) for name, r in by_count.items()]


def user_means(events: ReplayedEvents, ranks: Ranks, ks: Sequence[int]) -> dict[str, np.ndarray]:
    """Compute the metrics of each event, and their mean over the events of each user.

    Args:
        events: the events.
        ranks: ``[n, 2]`` their ranks.
        ks: cut-offs.

    Returns:
        Metric -> ``[users]`` float64.
    """
    columns = (events.users, events.log.item[events.rows], *ranks.T)
    values = per_user_metrics(TargetRanks(*(torch.from_numpy(np.asarray(c, np.int64)) for c in columns)), ks)
    _, owner, counts = np.unique(events.users, return_inverse=True, return_counts=True)
    return {name: np.bincount(owner, by_event) / counts for name, by_event in values.items()}


def label(period: int | None) -> str:
    """Describe how often states are refreshed.

    Args:
        period: seconds; 0: at each event; None: never.

    Returns:
        For instance ``every 6 hours``.
    """
    if not period:
        return "never" if period is None else "at each event"
    unit, seconds = next((u, s) for u, s in UNITS.items() if period % s == 0)
    return f"every {unit}" if period == seconds else f"every {period // seconds} {unit}s"
