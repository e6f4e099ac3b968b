"""How deep users go, from looking to buying, and how often they come."""

import numpy as np

from interestlab.drift.attention import Attention
from interestlab.stats.permutation import Groups, UnitFeatures, monte_carlo_p_values, permutation_replicates

DAY = 86_400


def depths(attention: Attention, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``[U]`` mean depth before and after, and the p-value of their difference; NaN where the log does not tell types."""
    panel, users = attention.panel, len(attention.panel.users)
    told = ~np.isnan(panel.depth)
    value = np.zeros((len(attention.late), 2), np.float32)
    value[:, 0] = np.bincount(panel.session[told], minlength=len(value))
    value[:, 1] = np.bincount(panel.session[told], weights=panel.depth[told], minlength=len(value))
    cells = UnitFeatures(np.arange(len(value)), np.zeros(len(value), np.int64), value)
    groups = Groups(panel.session_offsets, attention.second)
    out = np.full((3, users), np.nan)
    if len(np.unique(panel.depth[told])) < 2:
        return out[0], out[1], out[2]

    def means(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        before, after = (w[..., 1] / np.where(w[..., 0] > 0, w[..., 0], np.nan) for w in (first, second))
        return np.stack([np.nan_to_num(np.abs(after - before)), before, after])

    for index, values, _ in permutation_replicates(groups, cells, means, draws, rng):
        both = ~np.isnan(values[1:, 0]).any(0)
        out[:2, index] = np.where(both, values[1:, 0], np.nan)
        out[2, index] = np.where(both, monte_carlo_p_values(values[0]), np.nan)
    return out[0], out[1], out[2]


def intensities(attention: Attention) -> tuple[np.ndarray, np.ndarray]:
    """``[U]`` events a day before and after; the windows meet where the second begins, and each is a day long at least."""
    panel = attention.panel
    held = np.flatnonzero((attention.second > 0) & (attention.second < np.diff(panel.session_offsets)))
    first, last = panel.time[panel.offsets[held]], panel.time[panel.offsets[held + 1] - 1]
    parts = panel.begins[panel.session_offsets[held + 1] - attention.second[held]]
    middle = panel.time[parts]
    before, after = np.full(len(panel.users), np.nan), np.full(len(panel.users), np.nan)
    before[held] = (parts - panel.offsets[held]) / np.maximum((middle - first) / DAY, 1)
    after[held] = (panel.offsets[held + 1] - parts - 1) / np.maximum((last - middle) / DAY, 1)
    return before, after
