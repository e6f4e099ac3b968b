"""Permutation tests within many groups at once.

Each group has units in order of time, of which the last belong to the second window. Under the null its units are exchangeable,
so which of them are the last is chance. Groups with equally many units in both windows share their random partitions: sums over
the second window are then one matrix product for all of them, and a test costs units x features x permutations.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import stats

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``first [S, G, F], second [S, G, F] -> [J, S, G]``: J statistics of the sums over both windows, for S partitions."""

_CELLS = 2_000_000
"""Numbers held at once: S x G x F."""


class Groups(NamedTuple):
    """Units by group, each group's in order of time.

    Attributes:
        offsets: ``[G + 1]`` where the units of each group begin.
        second: ``[G]`` how many of its last units are in the second window.
    """

    offsets: np.ndarray
    second: np.ndarray

    def only(self, some: np.ndarray) -> "Groups":
        """Without second windows but for some ``[G]``, so that no other is tested."""
        return self._replace(second=np.where(some, self.second, 0))


class Cells(NamedTuple):
    """What is summed, as a sparse matrix of units and features.

    Attributes:
        unit: ``[C]`` ascending.
        feature: ``[C]`` column, from 0 within each group.
        value: ``[C]``, or ``[C, D]``: then ``feature`` is 0 and the columns are D.
    """

    unit: np.ndarray
    feature: np.ndarray
    value: np.ndarray


def replicates(
    groups: Groups, cells: Cells, statistic: Statistic, draws: int, rng: np.random.Generator, weight: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Statistics of every group that has units in both windows, as observed and for random partitions.

    Args:
        groups: the units.
        cells: what is summed over the units of a window.
        statistic: of the two sums.
        draws: random partitions, R.
        rng: draws them; a group's partitions do not depend on the values of others.
        weight: ``[N]`` log of how much likelier a unit is in the second window than in the first, under the null.

    Yields:
        ``index [g]`` of some groups; ``values [J, 1 + R, g]``, the first as observed; ``weights [1 + R, g]`` of the partitions,
        whose largest is 1.
    """
    sizes = np.diff(groups.offsets)
    testable = np.flatnonzero((groups.second > 0) & (groups.second < sizes))
    order = testable[np.lexsort((groups.second[testable], sizes[testable]))]
    bounds = np.searchsorted(cells.unit, groups.offsets)
    widths = _widths(groups, cells, bounds)
    shapes = np.stack([sizes[order], groups.second[order]], axis=1)
    for alike in np.split(order, np.flatnonzero((np.diff(shapes, axis=0) != 0).any(1)) + 1) if len(order) else []:
        units, second = int(sizes[alike[0]]), int(groups.second[alike[0]])
        step = max(1, _CELLS // ((1 + draws) * int(widths[alike].max())))
        for index in (alike[at : at + step] for at in range(0, len(alike), step)):
            dense = _dense(groups, cells, bounds, index, units, int(widths[index].max()))
            values, tilts = [], []
            for chosen in partitions(units, second, draws, rng):
                after = (chosen @ dense.reshape(units, -1)).reshape(len(chosen), *dense.shape[1:])
                values.append(statistic(dense.sum(0) - after, after))
                if weight is not None:
                    tilts.append(chosen @ weight[groups.offsets[index] + np.arange(units)[:, None]])
            tilt = np.concatenate(tilts) if tilts else np.zeros((1 + draws, len(index)), np.float32)
            yield index, np.concatenate(values, axis=1), np.exp(tilt - tilt.max(0))


def partitions(units: int, second: int, draws: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """``[., units]`` float32 in parts, ``1 + draws`` rows in all: 1 where a unit is in the second window. The first row is what
    was observed.
    """
    observed = np.zeros((1, units), np.float32)
    observed[0, units - second :] = 1
    yield observed
    step = max(1, _CELLS // units)
    for first in range(0, draws, step):
        keys = rng.random((min(step, draws - first), units), dtype=np.float32)
        chosen = np.zeros_like(keys)
        np.put_along_axis(chosen, np.argpartition(keys, second - 1, axis=1)[:, :second], 1, axis=1)
        yield chosen


def unshared(values: np.ndarray, rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """``[J, 1 + R, g]`` with draws of each group's own, drawn as likely as the null says: plain sums over groups are then fair.

    Groups of one shape share their partitions. Statistics that are added up over groups need independent ones: where all have
    two units, a shared partition swaps the windows of everyone or of nobody, and a sum never differs from what was observed.

    Args:
        values: ``[J, 1 + R, g]`` of :func:`replicates`.
        rng: draws.
        weights: ``[1 + R, g]`` of :func:`replicates`.
    """
    draws, groups = values.shape[1] - 1, values.shape[2]
    order = rng.permuted(np.tile(np.arange(1, 1 + draws)[:, None], (1, groups)), axis=0)
    uneven = np.flatnonzero(np.ptp(weights[1:], axis=0) > 1e-6)
    reach = np.cumsum(weights[1:, uneven], axis=0, dtype=float)
    for place, group in enumerate(uneven):
        order[:, group] = 1 + np.searchsorted(reach[:-1, place], rng.random(draws) * reach[-1, place], side="right")
    return values[:, np.vstack([np.zeros((1, groups), np.int64), order]), np.arange(groups)]


def shares_of(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """``[2F, S, G]`` the shares of both windows, as a statistic of :func:`replicates`."""
    p = [c / np.maximum(c.sum(-1, keepdims=True), 1) for c in (first, second)]
    return np.moveaxis(np.concatenate(p, axis=-1), -1, 0)


def p_values(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    r"""``[...]`` from ``[..., 1 + R, g]``: how often chance is at least as large as what was observed (the first).

    .. math:: p = \frac{\sum_r w_r\,[T_r \ge T_0]}{\sum_r w_r}, \qquad r = 0 \dots R

    The observed counts among them, so that p is never 0 (Phipson & Smyth 2010). With weights, the null need not be that units
    are exchangeable: they carry the ratio of what the null says to what was drawn, and p stays valid (Harrison 2012, Biometrika
    99(1)).
    """
    least = values[..., :1, :] - 1e-5 * (1 + np.abs(values[..., :1, :]))  # equal but for rounding
    weights = np.ones(values.shape[-2:], np.float32) if weights is None else weights
    return ((values >= least) * weights).sum(-2) / weights.sum(-2)


def beyond_chance(values: np.ndarray) -> np.ndarray:
    r"""``[...]`` how likely chance makes sums at least as large as the observed first of ``[1 + R, ...]``, none negative.

    The permuted sums are taken for gamma distributed, with their mean m and variance v: shape :math:`m^2/v`, scale :math:`v/m`,
    since sums of rare flows are skewed (Pearson's type III for permutation distributions: Mielke & Berry 2007). So few
    permutations tell small p-values apart.
    """
    mean, variance = values[1:].mean(0), values[1:].var(0)
    known = (mean > 0) & (variance > 0)
    m, v = np.where(known, mean, 1), np.where(known, variance, 1)
    return np.where(known, stats.gamma.sf(values[0], m**2 / v, scale=v / m), np.where(values[0] > mean, np.nan, 1.0))


def _widths(groups: Groups, cells: Cells, bounds: np.ndarray) -> np.ndarray:
    if cells.value.ndim == 2:
        return np.full(len(groups.second), cells.value.shape[1])
    widths = np.zeros(len(groups.second), np.int64)
    held = np.flatnonzero(np.diff(bounds))
    widths[held] = np.maximum.reduceat(cells.feature, bounds[:-1][held]) + 1 if len(held) else 0
    return np.maximum(widths, 1)


def _dense(groups: Groups, cells: Cells, bounds: np.ndarray, index: np.ndarray, units: int, width: int) -> np.ndarray:
    """``[units, g, width]`` float32 what the units of some groups of equal size hold."""
    dense = np.zeros((units, len(index), width), np.float32)
    many = bounds[index + 1] - bounds[index]
    place = np.repeat(np.arange(len(index)), many)
    cell = np.repeat(bounds[index] - np.r_[0, np.cumsum(many)[:-1]], many) + np.arange(many.sum())
    unit = cells.unit[cell] - groups.offsets[index][place]
    if cells.value.ndim == 2:
        dense[unit, place] = cells.value[cell]
    else:
        dense[unit, place, cells.feature[cell]] = cells.value[cell]
    return dense
