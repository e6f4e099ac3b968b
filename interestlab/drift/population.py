"""Everyone's attention over the calendar: shares with intervals, what emerges and fades, the drift of the catalogue."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
from scipy import stats

from interestlab.drift.session_log import SessionLog
from interestlab.drift.shares import InterestShares
from interestlab.stats.multiple_testing import benjamini_hochberg

PRIOR = 20
"""Users of the overall shares that are added to each window, so that a thin one does not look like drift."""

FEWEST = 30
"""Users in either half below which no trend is told."""


def calendar_edges(log: SessionLog, count: int) -> np.ndarray:
    """``[count + 1]`` int64 edges of windows of equal length, unix seconds.

    They span all but the first and last thousandth of the events: a few wrong clocks would stretch them. What lies beyond
    counts to the first and the last window.
    """
    first, last = np.quantile(log.time, (0.001, 0.999), method="nearest")
    return np.linspace(first, last + 1, count + 1).astype(np.int64)


def user_shares(
    user: np.ndarray, window: np.ndarray, label: np.ndarray, labels: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each user's share of each label in each window, where it is not 0.

    Args:
        user, window, label: ``[E]`` of each event.
        labels: how many there are.

    Returns:
        ``window [n], label [n], share [n]``, sorted by user.
    """
    windows = int(window.max()) + 1 if len(window) else 1
    keys, counts = np.unique((user * windows + window) * labels + label, return_counts=True)
    where = keys // labels
    (
        _,
        place,
    ) = np.unique(where, return_inverse=True)
    totals = np.bincount(place, weights=counts)
    return where % windows, keys % labels, counts / totals[place]


def shares_over_time(log: SessionLog, label: np.ndarray, names: list[str], edges: np.ndarray, kind: str) -> pl.DataFrame:
    """The mean share of each label among the users of each window, each user counting once, with 95% intervals over users.

    Args:
        log: of events that all have a label.
        label: ``[E]``
        names: of the labels.
        edges: ``[W + 1]`` of the windows, unix seconds.
        kind: what the labels are.

    Returns:
        ``kind, name, window, start, end, share, low, high, users, events``.
    """
    windows, many = len(edges) - 1, len(names)
    window = window_of(log.time, edges)
    users = np.bincount(np.unique(log.user * windows + window) % windows, minlength=windows)
    where, which, share = user_shares(log.user, window, label, many)
    place = where * many + which
    mean = np.bincount(place, weights=share, minlength=windows * many).reshape(windows, many) / np.maximum(users, 1)[:, None]
    square = np.bincount(place, weights=share**2, minlength=windows * many).reshape(windows, many)
    variance = np.maximum(square / np.maximum(users, 1)[:, None] - mean**2, 0)
    half = 1.96 * np.sqrt(variance / np.maximum(users - 1, 1)[:, None])
    half = np.where(mean > 0, half, 1 - 0.05 ** (1 / np.maximum(users, 1))[:, None])  # none of n users: the rule of three
    events = np.bincount(window * many + label, minlength=windows * many)
    w, k = (axis.ravel() for axis in np.mgrid[:windows, :many])
    return pl.DataFrame(
        {
            "kind": [kind] * len(w),
            "name": [names[i] for i in k],
            "window": w,
            "start": to_datetimes(edges[w]),
            "end": to_datetimes(edges[w + 1]),
            "share": np.where(users[w] > 0, mean.ravel(), np.nan),
            "low": np.where(users[w] > 1, np.maximum(mean - half, 0).ravel(), np.nan),
            "high": np.where(users[w] > 1, np.minimum(mean + half, 1).ravel(), np.nan),
            "users": users[w],
            "events": events,
        }
    ).with_columns(pl.col("share", "low", "high").fill_nan(None))


def trends(log: SessionLog, label: np.ndarray, names: list[str], middle: int, kind: str, level: float) -> pl.DataFrame:
    """Which labels emerge and which fade: the mean share among users before a moment against that after it.

    Student's test over users: the variance is that of both halves together, since a label that one half never meets has none
    there. A user who is in both halves counts in both, which makes the test cautious where a user's halves are alike. No trend
    is told where either half has fewer than :data:`FEWEST` users.

    Returns:
        ``kind, name, share_early, share_late, change, p, q, users_early, users_late, verdict``.
    """
    many = len(names)
    late = (log.time >= middle).astype(np.int64)
    users = np.bincount(np.unique(log.user * 2 + late) % 2, minlength=2)
    where, which, share = user_shares(log.user, late, label, many)
    place = where * many + which
    total = np.bincount(place, weights=share, minlength=2 * many).reshape(2, many)
    square = np.bincount(which, weights=share**2, minlength=many)
    mean = total / np.maximum(users, 1)[:, None]
    within = np.maximum(square - (mean**2 * users[:, None]).sum(0), 0) / max(users.sum() - 2, 1)
    change, spread = mean[1] - mean[0], np.sqrt(within * (1 / np.maximum(users, 1)).sum())
    p = 2 * stats.t.sf(np.abs(change) / np.maximum(spread, 1e-9), max(users.sum() - 2, 1))
    if users.min() < FEWEST:
        p = np.full(many, np.nan)
    q = benjamini_hochberg(p)
    verdict = np.where(q <= level, np.where(change > 0, "emerging", "fading"), "")
    return pl.DataFrame(
        {
            "kind": [kind] * many,
            "name": names,
            "share_early": mean[0],
            "share_late": mean[1],
            "change": change,
            "p": p,
            "q": q,
            "users_early": [int(users[0])] * many,
            "users_late": [int(users[1])] * many,
            "verdict": verdict.tolist(),
        },
        schema_overrides={"name": pl.String, "verdict": pl.String},
    ).with_columns(pl.col("p", "q").fill_nan(None))


def catalogue_shift(shares: InterestShares, edges: np.ndarray) -> np.ndarray:
    r"""``[P]`` :math:`r_k = \pi'_k / \pi_k`: how everyone's share of an interest changed between the user's own two windows.

    :math:`\pi_k` of a calendar window is the mean share over its users, with :data:`PRIOR` users of the overall shares added;
    that of a user's window is the mean over its events.

    Args:
        shares: of all users in their two windows.
        edges: ``[W + 1]`` calendar windows, unix seconds.
    """
    log, many, windows = shares.log, len(shares.interests), len(edges) - 1
    window = window_of(log.time, edges)
    where, which, share = user_shares(log.user, window, shares.interests.of[log.item], many)
    total = np.bincount(where * many + which, weights=share, minlength=windows * many).reshape(windows, many)
    overall = (total.sum(0) + 1e-3) / (total.sum(0) + 1e-3).sum()
    pi = (total + PRIOR * overall) / (total.sum(1, keepdims=True) + PRIOR)
    late = shares.is_after[log.session]
    means = []
    for part in (~late, late):
        met = np.bincount(log.user[part] * windows + window[part], minlength=len(log.users) * windows)
        met = met.reshape(-1, windows)
        means.append((met / np.maximum(met.sum(1, keepdims=True), 1) @ pi)[shares.user, shares.interest])
    known = (means[0] > 0) & (means[1] > 0)
    return np.where(known, means[1] / np.where(known, means[0], 1), 1.0)


def window_of(time: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """``[E]`` calendar window of each time."""
    return np.clip(np.searchsorted(edges, time, side="right") - 1, 0, len(edges) - 2)


def to_datetimes(seconds: np.ndarray) -> pl.Series:
    """Unix seconds as datetimes, UTC."""
    return pl.from_epoch(pl.Series(np.asarray(seconds, np.int64)), "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC")


def format_day(seconds: int) -> str:
    """The day of a moment, UTC."""
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d}"
