"""A difference between two models over the same users: its interval, and whether it could be none."""

from collections.abc import Sequence

import numpy as np

TILE = 4_000_000
"""Counts that exist at once."""


def paired_bootstrap(
    difference: np.ndarray, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Percentile bootstrap of the mean difference, over users drawn with replacement.

    The p-value is two-sided, ``2 (1 + min(#{d* <= 0}, #{d* >= 0})) / (draws + 1)``, at most 1: but for the 1, the smallest
    1 - level at which the interval leaves out 0, so that interval and p-value agree. The 1 counts what was measured among
    the draws, and no p-value is 0 (Davison and Hinkley, Bootstrap Methods and their Application, 1997, chapter 4; for
    the interval Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).

    Users of equal difference are drawn together, as a multinomial count, and :data:`TILE` counts at a time.

    Args:
        difference: ``[users]`` of each user, one model minus the other.

    Returns:
        low and high end of the interval, p-value.
    """
    # Sums in another order differ by rounding alone: without this, that would count as a difference.
    distinct, counts = np.unique(np.round(difference, 12), return_counts=True)
    rng, users, step = np.random.default_rng(seed), len(difference), max(1, TILE // len(distinct))
    means = np.concatenate(
        [
            rng.multinomial(users, counts / users, size=min(step, draws - first)) @ distinct / users
            for first in range(0, draws, step)
        ]
    )
    means = np.round(means, 12)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return float(low), float(high), min(1.0, 2 * (1 + tail) / (draws + 1))


def holm(p: Sequence[float]) -> list[float]:
    """P-values corrected for their number: ``max_{j <= i} min(1, (m - j) p_(j))`` over the sorted p_(0) <= p_(1) <= ...

    The chance of one or more false findings among all m is then held at the level, however the tests depend on each
    other (Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics, 1979).
    """
    values = np.asarray(p, dtype=np.float64)
    order = values.argsort(kind="stable")
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(np.minimum(1, values[order] * np.arange(len(values), 0, -1)))
    return [float(value) for value in corrected]
