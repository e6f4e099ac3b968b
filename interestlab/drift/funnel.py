"""Depth of the funnel (from viewing to buying) and intensity (events per day) in two windows."""

import numpy as np

from interestlab.drift.shares import InterestShares
from interestlab.stats.permutation import Groups, UnitFeatures, monte_carlo_p_values, permutation_replicates

DAY = 86_400


def compare_depths(shares: InterestShares, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare the mean funnel depth of the two windows, by permuting sessions.

    Args:
        shares: interest shares of users in two windows.
        draws: number of permutations.
        rng: draws them.

    Returns:
        ``[U]`` mean depth before, mean depth after, and two-sided p-value; NaN if the log has no types of events.
    """
    log, users = shares.log, len(shares.log.users)
    known = ~np.isnan(log.depth)
    value = np.zeros((len(shares.is_after), 2), np.float32)
    value[:, 0] = np.bincount(log.session[known], minlength=len(value))
    value[:, 1] = np.bincount(log.session[known], weights=log.depth[known], minlength=len(value))
    features = UnitFeatures(np.arange(len(value)), np.zeros(len(value), np.int64), value)
    groups = Groups(log.session_offsets, shares.sessions_after)
    out = np.full((3, users), np.nan)
    if len(np.unique(log.depth[known])) < 2:
        return out[0], out[1], out[2]

    def means(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        before, after = (w[..., 1] / np.where(w[..., 0] > 0, w[..., 0], np.nan) for w in (first, second))
        return np.stack([np.nan_to_num(np.abs(after - before)), before, after])

    for index, values, _ in permutation_replicates(groups, features, means, draws, rng):
        both = ~np.isnan(values[1:, 0]).any(0)
        out[:2, index] = np.where(both, values[1:, 0], np.nan)
        out[2, index] = np.where(both, monte_carlo_p_values(values[0]), np.nan)
    return out[0], out[1], out[2]


def compute_intensities(shares: InterestShares) -> tuple[np.ndarray, np.ndarray]:
    """Compute events per day. The windows meet where the second begins, and each counts as at least one day.

    Args:
        shares: interest shares of users in two windows.

    Returns:
        ``[U]`` events per day before, and after; NaN for a user with one window.
    """
    log = shares.log
    users = np.flatnonzero((shares.sessions_after > 0) & (shares.sessions_after < np.diff(log.session_offsets)))
    first, last = log.time[log.offsets[users]], log.time[log.offsets[users + 1] - 1]
    boundary = log.session_starts[log.session_offsets[users + 1] - shares.sessions_after[users]]
    middle = log.time[boundary]
    before, after = np.full(len(log.users), np.nan), np.full(len(log.users), np.nan)
    before[users] = (boundary - log.offsets[users]) / np.maximum((middle - first) / DAY, 1)
    after[users] = (log.offsets[users + 1] - boundary - 1) / np.maximum((last - middle) / DAY, 1)
    return before, after
