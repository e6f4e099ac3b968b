"""Shares of the whole population over the calendar, and the shift of the catalogue's shares."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from interestlab.drift.session_log import SessionLog
from interestlab.drift.shares import InterestShares

PRIOR_USERS = 20
"""Users with the overall shares that are added to each window, so that a window of few users does not look like a shift."""


def calendar_edges(log: SessionLog, count: int) -> np.ndarray:
    """Divide the time of a log into calendar windows of equal length.

    The windows span all but the first and last thousandth of the events, since a few wrong clocks would stretch them. Events
    outside count towards the first and the last window.

    Args:
        log: events.
        count: number of windows.

    Returns:
        ``[count + 1]`` int64 edges, unix seconds.
    """
    first, last = np.quantile(log.time, (0.001, 0.999), method="nearest")
    return np.linspace(first, last + 1, count + 1).astype(np.int64)


def window_of(time: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Find the calendar window of each time.

    Args:
        time: ``[E]`` unix seconds.
        edges: ``[W + 1]`` of :func:`calendar_edges`.

    Returns:
        ``[E]`` int64 number of the window.
    """
    return np.clip(np.searchsorted(edges, time, side="right") - 1, 0, len(edges) - 2)


def user_shares(
    user: np.ndarray, window: np.ndarray, label: np.ndarray, labels: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute each user's share of each label in each window, where it is above 0.

    Args:
        user: ``[E]`` user of each event.
        window: ``[E]`` window of each event.
        label: ``[E]`` label of each event.
        labels: number of labels.

    Returns:
        Window, label and share ``[n]``, sorted by user.
    """
    windows = int(window.max()) + 1 if len(window) else 1
    keys, counts = np.unique((user * windows + window) * labels + label, return_counts=True)
    cell = keys // labels
    _, inverse = np.unique(cell, return_inverse=True)
    totals = np.bincount(inverse, weights=counts)
    return cell % windows, keys % labels, counts / totals[inverse]


def catalogue_shift(shares: InterestShares, edges: np.ndarray) -> np.ndarray:
    r"""Compute how the population's share of each interest changed between each user's own two windows.

    .. math:: r_k = \pi'_k / \pi_k

    :math:`\pi_k` of a calendar window is the mean share over its users, with :data:`PRIOR_USERS` users of the overall shares
    added; that of a user's window is the mean over its events.

    Args:
        shares: interest shares of all users.
        edges: ``[W + 1]`` of :func:`calendar_edges`.

    Returns:
        ``[P]`` ratio of each pair of user and interest.
    """
    log, count, windows = shares.log, len(shares.interests), len(edges) - 1
    window = window_of(log.time, edges)
    at, label, share = user_shares(log.user, window, shares.interests.item_interest[log.item], count)
    total = np.bincount(at * count + label, weights=share, minlength=windows * count).reshape(windows, count)
    overall = (total.sum(0) + 1e-3) / (total.sum(0) + 1e-3).sum()
    pi = (total + PRIOR_USERS * overall) / (total.sum(1, keepdims=True) + PRIOR_USERS)
    after = shares.is_after[log.session]
    means = []
    for events in (~after, after):
        counts = np.bincount(log.user[events] * windows + window[events], minlength=len(log.users) * windows)
        counts = counts.reshape(-1, windows)
        means.append((counts / np.maximum(counts.sum(1, keepdims=True), 1) @ pi)[shares.user, shares.interest])
    known = (means[0] > 0) & (means[1] > 0)
    return np.where(known, means[1] / np.where(known, means[0], 1), 1.0)


def to_datetimes(seconds: np.ndarray) -> pl.Series:
    """Convert unix seconds to datetimes in UTC.

    Args:
        seconds: ``[n]``.

    Returns:
        ``[n]`` datetimes.
    """
    return pl.from_epoch(pl.Series(np.asarray(seconds, np.int64)), "s").dt.cast_time_unit("us").dt.replace_time_zone("UTC")


def format_day(seconds: int) -> str:
    """Format the day of a time in UTC.

    Args:
        seconds: unix seconds.

    Returns:
        ``YYYY-MM-DD``.
    """
    return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d}"
