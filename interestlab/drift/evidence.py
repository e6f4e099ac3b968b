"""Whether the data can support a claim: power, what it needs, and false discoveries over many users."""

import numpy as np
from scipy import stats

POWER = 0.8
"""Chance to see a change that is there, below which not seeing one means nothing."""


def power(first: np.ndarray, second: np.ndarray, interests: np.ndarray, shift: float, level: float) -> np.ndarray:
    r"""Chance that a test of homogeneity sees ``shift`` of the attention move from one interest to another.

    .. math:: P\bigl(\chi'^2_{K-1}(\lambda) > c_{K-1,\,1-\text{level}}\bigr), \qquad
        \lambda = \frac{4\,n\,n'}{n + n'}\,\text{shift}^2

    which is the smallest :math:`\lambda` that such a move can have, that of one interest of half the attention giving to
    another of half. (Cohen 1988, chapter 7; Pearson's statistic of two samples.)

    Args:
        first: ``[...]`` independent events before, n.
        second: ``[...]`` after, n'.
        interests: ``[...]`` interests among which they lie, K.
        shift: share of the attention, 0 to 1.
        level: of the test.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    freedom = np.maximum(np.asarray(interests) - 1, 1)
    noncentral = 4 * first * second / np.maximum(first + second, 1) * shift**2
    told = stats.ncx2.sf(stats.chi2.isf(level, freedom), freedom, np.maximum(noncentral, 1e-9))
    return np.where((first > 0) & (second > 0), told, 0.0)


def needed(interests: int, shift: float, level: float, wanted: float = POWER) -> int:
    """Independent events a window at which :func:`power` reaches ``wanted``.

    Args:
        interests: among which the user's events lie.
        shift: share of the attention that moves.
        level: of the test.
        wanted: power.
    """
    many = np.arange(1, 100_001)
    reached = power(many, many, np.array(interests), shift, level) >= wanted
    return int(many[reached.argmax()]) if reached.any() else len(many)


def false_discovery(p: np.ndarray) -> np.ndarray:
    """``[n]`` q-values: of all with q <= x, at most a share x is expected to be called falsely (Benjamini & Hochberg 1995).

    Args:
        p: ``[n]`` p-values; NaN, where nothing was tested, stays and does not count.
    """
    q = np.full(len(p), np.nan)
    known = ~np.isnan(p)
    if known.any():
        q[known] = stats.false_discovery_control(np.minimum(p[known], 1), method="bh")
    return q
