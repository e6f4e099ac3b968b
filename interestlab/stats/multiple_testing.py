"""Corrections of p-values for many tests."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p-values so that the family-wise error rate is bounded (Holm's step-down method).

    ``max_{j <= i} min(1, (m - j) p_(j))`` over the sorted ``p_(0) <= p_(1) <= ...``. The probability of any false rejection
    among all m tests is at most the level, however the tests depend on each other (Holm, A simple sequentially rejective
    multiple test procedure, Scandinavian Journal of Statistics 6(2), 1979).

    Args:
        p: p-values of all tests.

    Returns:
        The adjusted p-values, in the order of ``p``.
    """
    values = np.asarray(p, dtype=np.float64)
    order = values.argsort(kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(np.minimum(1, values[order] * np.arange(len(values), 0, -1)))
    return [float(value) for value in adjusted]


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """Return q-values: among all tests with q <= x, the expected share of false discoveries is at most x.

    Benjamini and Hochberg, Controlling the false discovery rate, Journal of the Royal Statistical Society B 57(1), 1995.

    Args:
        p: ``[n]`` p-values; NaN where nothing was tested.

    Returns:
        ``[n]`` q-values; NaN stays NaN and does not count as a test.
    """
    q = np.full(len(p), np.nan)
    known = ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(np.minimum(p[known], 1), method="bh")
    return q
