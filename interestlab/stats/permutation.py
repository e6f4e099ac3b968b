"""Permutation tests within many groups at once.

Each group is a sequence of units in order of time (a user's sessions, say); its last units form the second window. Under the
null hypothesis the units of a group are exchangeable, so any of them may be the last ones. Groups of equal size with equally
many units in the second window share their random partitions: the sums over the second window are then one matrix product for
all of them, and a test costs units x features x permutations.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import stats

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""``first [S, G, F], second [S, G, F] -> [J, S, G]``: J statistics of the sums over both windows, for S partitions."""

_TILE = 2_000_000
"""Numbers in memory at once: S x G x F."""


class Groups(NamedTuple):
    """Units by group, each group's in order of time.

    Attributes:
        offsets: ``[G + 1]`` index of the first unit of each group.
        second: ``[G]`` how many of a group's last units form the second window.
    """

    offsets: np.ndarray
    second: np.ndarray

    def restrict_to(self, selected: np.ndarray) -> "Groups":
        """Remove the second window of all other groups, so that they are not tested.

        Args:
            selected: ``[G]`` booleans.

        Returns:
            The same units, with ``second`` 0 where not selected.
        """
        return self._replace(second=np.where(selected, self.second, 0))


class UnitFeatures(NamedTuple):
    """Features of the units, as a sparse matrix in coordinate format.

    Attributes:
        unit: ``[C]`` row, ascending.
        feature: ``[C]`` column, counted from 0 within each group.
        value: ``[C]``; or ``[C, D]`` dense rows of D columns, for which ``feature`` is 0.
    """

    unit: np.ndarray
    feature: np.ndarray
    value: np.ndarray


def permutation_replicates(
    groups: Groups,
    features: UnitFeatures,
    statistic: Statistic,
    draws: int,
    rng: np.random.Generator,
    log_odds: np.ndarray | None = None,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Compute a statistic for the observed windows and for random partitions, for every group with units in both windows.

    Args:
        groups: N units in G groups.
        features: summed over the units of each window.
        statistic: computes the statistic from the two sums.
        draws: random partitions, R.
        rng: source of the partitions; a group's partitions do not depend on the values of other groups.
        log_odds: ``[N]`` log of how much likelier a unit is in the second window than in the first, under the null. None:
            the units are exchangeable.

    Yields:
        ``index [g]`` of some groups; ``values [J, 1 + R, g]``, the observed statistic first; ``weights [1 + R, g]`` importance
        weights of the partitions, the largest of which is 1.
    """
    sizes = np.diff(groups.offsets)
    testable = np.flatnonzero((groups.second > 0) & (groups.second < sizes))
    order = testable[np.lexsort((groups.second[testable], sizes[testable]))]
    bounds = np.searchsorted(features.unit, groups.offsets)
    widths = _widths(groups, features, bounds)
    shapes = np.stack([sizes[order], groups.second[order]], axis=1)
    for alike in np.split(order, np.flatnonzero((np.diff(shapes, axis=0) != 0).any(1)) + 1) if len(order) else []:
        units, second = int(sizes[alike[0]]), int(groups.second[alike[0]])
        step = max(1, _TILE // ((1 + draws) * int(widths[alike].max())))
        for index in (alike[start : start + step] for start in range(0, len(alike), step)):
            dense = _dense(groups, features, bounds, index, units, int(widths[index].max()))
            values, tilts = [], []
            for chosen in random_partitions(units, second, draws, rng):
                after = (chosen @ dense.reshape(units, -1)).reshape(len(chosen), *dense.shape[1:])
                values.append(statistic(dense.sum(0) - after, after))
                if log_odds is not None:
                    tilts.append(chosen @ log_odds[groups.offsets[index] + np.arange(units)[:, None]])
            tilt = np.concatenate(tilts) if tilts else np.zeros((1 + draws, len(index)), np.float32)
            yield index, np.concatenate(values, axis=1), np.exp(tilt - tilt.max(0))


def random_partitions(units: int, second: int, draws: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Choose which units form the second window, uniformly among all subsets of its size.

    Args:
        units: number of units in a group.
        second: number of units in the second window.
        draws: random partitions.
        rng: source of randomness.

    Yields:
        ``[., units]`` float32 in blocks, ``1 + draws`` rows in all: 1 for a unit of the second window. The first row is the
        observed partition.
    """
    observed = np.zeros((1, units), np.float32)
    observed[0, units - second :] = 1
    yield observed
    step = max(1, _TILE // units)
    for first in range(0, draws, step):
        keys = rng.random((min(step, draws - first), units), dtype=np.float32)
        chosen = np.zeros_like(keys)
        np.put_along_axis(chosen, np.argpartition(keys, second - 1, axis=1)[:, :second], 1, axis=1)
        yield chosen


def independent_replicates(values: np.ndarray, rng: np.random.Generator, weights: np.ndarray) -> np.ndarray:
    """Reorder the replicates of each group independently, so that they can be summed over groups.

    Groups of one shape share their partitions. A sum over groups needs independent partitions: if every group had two units,
    a shared partition would swap the windows of all groups or of none, and the sum would never differ from the observed one.
    Replicates of unequal weight are resampled in proportion to it, so the result needs no weights.

    Args:
        values: ``[J, 1 + R, g]`` from :func:`permutation_replicates`.
        rng: source of the order.
        weights: ``[1 + R, g]`` from :func:`permutation_replicates`.

    Returns:
        ``[J, 1 + R, g]``, the observed statistic first.
    """
    draws, groups = values.shape[1] - 1, values.shape[2]
    order = rng.permuted(np.tile(np.arange(1, 1 + draws)[:, None], (1, groups)), axis=0)
    uneven = np.flatnonzero(np.ptp(weights[1:], axis=0) > 1e-6)
    cumulative = np.cumsum(weights[1:, uneven], axis=0, dtype=float)
    for column, group in enumerate(uneven):
        targets = rng.random(draws) * cumulative[-1, column]
        order[:, group] = 1 + np.searchsorted(cumulative[:-1, column], targets, side="right")
    return values[:, np.vstack([np.zeros((1, groups), np.int64), order]), np.arange(groups)]


def window_shares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Shares of the features in both windows, as a statistic for :func:`permutation_replicates`.

    Args:
        first: ``[S, G, F]`` sums over the first window.
        second: ``[S, G, F]`` sums over the second window.

    Returns:
        ``[2F, S, G]``: the F shares of the first window, then those of the second.
    """
    p = [c / np.maximum(c.sum(-1, keepdims=True), 1) for c in (first, second)]
    return np.moveaxis(np.concatenate(p, axis=-1), -1, 0)


def monte_carlo_p_values(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    r"""Upper-tail p-values of a Monte Carlo permutation test.

    .. math:: p = \frac{\sum_r w_r\,[T_r \ge T_0]}{\sum_r w_r}, \qquad r = 0 \dots R

    The observed statistic counts among the replicates, so p is never 0 (Phipson and Smyth, Permutation p-values should never
    be zero, 2010). Importance weights (probability under the null over probability of being drawn) allow a null under which
    the units are not exchangeable; p stays valid (Harrison, Conservative hypothesis tests and confidence intervals using
    importance sampling, Biometrika 99(1), 2012).

    Args:
        values: ``[..., 1 + R, g]`` statistics, the observed one first.
        weights: ``[1 + R, g]`` importance weights; None for equal ones.

    Returns:
        ``[..., g]``.
    """
    least = values[..., :1, :] - 1e-5 * (1 + np.abs(values[..., :1, :]))  # equal up to rounding
    weights = np.ones(values.shape[-2:], np.float32) if weights is None else weights
    return ((values >= least) * weights).sum(-2) / weights.sum(-2)


def gamma_p_values(values: np.ndarray) -> np.ndarray:
    r"""Upper-tail p-values by a gamma approximation of the permutation distribution.

    The gamma distribution has the mean m and the variance v of the replicates: shape :math:`m^2/v`, scale :math:`v/m`. Sums
    over rare events are skewed, and few permutations then resolve small p-values (Pearson's type III approximation of
    permutation distributions: Mielke and Berry, Permutation Methods, 2007).

    Args:
        values: ``[1 + R, ...]`` statistics that are not negative, the observed one first.

    Returns:
        ``[...]``. Where the replicates do not vary: 1, or NaN if the observed value exceeds their mean.
    """
    mean, variance = values[1:].mean(0), values[1:].var(0)
    known = (mean > 0) & (variance > 0)
    m, v = np.where(known, mean, 1), np.where(known, variance, 1)
    return np.where(known, stats.gamma.sf(values[0], m**2 / v, scale=v / m), np.where(values[0] > mean, np.nan, 1.0))


def _widths(groups: Groups, features: UnitFeatures, bounds: np.ndarray) -> np.ndarray:
    """``[G]`` number of columns of each group, at least 1."""
    if features.value.ndim == 2:
        return np.full(len(groups.second), features.value.shape[1])
    widths = np.zeros(len(groups.second), np.int64)
    filled = np.flatnonzero(np.diff(bounds))
    widths[filled] = np.maximum.reduceat(features.feature, bounds[:-1][filled]) + 1 if len(filled) else 0
    return np.maximum(widths, 1)


def _dense(groups: Groups, features: UnitFeatures, bounds: np.ndarray, index: np.ndarray, units: int, width: int) -> np.ndarray:
    """``[units, g, width]`` float32 features of groups of equal size."""
    dense = np.zeros((units, len(index), width), np.float32)
    lengths = bounds[index + 1] - bounds[index]
    column = np.repeat(np.arange(len(index)), lengths)
    entry = np.repeat(bounds[index] - np.r_[0, np.cumsum(lengths)[:-1]], lengths) + np.arange(lengths.sum())
    unit = features.unit[entry] - groups.offsets[index][column]
    if features.value.ndim == 2:
        dense[unit, column] = features.value[entry]
    else:
        dense[unit, column, features.feature[entry]] = features.value[entry]
    return dense
