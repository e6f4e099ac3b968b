"""How deep users go, from looking to buying, and how often they come."""

import numpy as np

from interestlab.drift.shares import InterestShares
from interestlab.stats.permutation import Groups, UnitFeatures, monte_carlo_p_values, permutation_replicates

DAY = 86_400


def compare_depths(shares: InterestShares, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``[U]`` mean depth before and after, and the p-value of their difference; NaN where the log does not tell types."""
    log, users = shares.log, len(shares.log.users)
    told = ~np.isnan(log.depth)
    value = np.zeros((len(shares.is_after), 2), np.float32)
    value[:, 0] = np.bincount(log.session[told], minlength=len(value))
    value[:, 1] = np.bincount(log.session[told], weights=log.depth[told], minlength=len(value))
    cells = UnitFeatures(np.arange(len(value)), np.zeros(len(value), np.int64), value)
    groups = Groups(log.session_offsets, shares.second)
    out = np.full((3, users), np.nan)
    if len(np.unique(log.depth[told])) < 2:
        return out[0], out[1], out[2]

    def means(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        before, after = (w[..., 1] / np.where(w[..., 0] > 0, w[..., 0], np.nan) for w in (first, second))
        return np.stack([np.nan_to_num(np.abs(after - before)), before, after])

    for index, values, _ in permutation_replicates(groups, cells, means, draws, rng):
        both = ~np.isnan(values[1:, 0]).any(0)
        out[:2, index] = np.where(both, values[1:, 0], np.nan)
        out[2, index] = np.where(both, monte_carlo_p_values(values[0]), np.nan)
    return out[0], out[1], out[2]


def compute_intensities(shares: InterestShares) -> tuple[np.ndarray, np.ndarray]:
    """``[U]`` events a day before and after; the windows meet where the second begins, and each is a day long at least."""
    log = shares.log
    held = np.flatnonzero((shares.second > 0) & (shares.second < np.diff(log.session_offsets)))
    first, last = log.time[log.offsets[held]], log.time[log.offsets[held + 1] - 1]
    parts = log.session_starts[log.session_offsets[held + 1] - shares.second[held]]
    middle = log.time[parts]
    before, after = np.full(len(log.users), np.nan), np.full(len(log.users), np.nan)
    before[held] = (parts - log.offsets[held]) / np.maximum((middle - first) / DAY, 1)
    after[held] = (log.offsets[held + 1] - parts - 1) / np.maximum((last - middle) / DAY, 1)
    return before, after
