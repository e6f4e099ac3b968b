"""Whether the data can support a claim: power, what it needs, and false discoveries over many users."""

import numpy as np
from scipy import stats

POWER = 0.8
"""Chance to see a change that is there, below which not seeing one means nothing."""


def power(
    first: np.ndarray, second: np.ndarray, interests: np.ndarray, shift: float, level: float, largest: np.ndarray | float = 0.5
) -> np.ndarray:
    r"""Chance that a test of homogeneity sees ``shift`` of the attention move from one interest to another.

    .. math:: P\bigl(\chi'^2_{K-1}(\lambda) > c_{K-1,\,1-\text{level}}\bigr), \qquad
        \lambda = \frac{n\,n'}{n + n'}\,\text{shift}^2\,\Bigl(\frac1a + \frac1b\Bigr)

    with a and b the shares of both interests in both windows together, which the move makes half of ``shift`` at least. By
    default both are one half, which is hardest to see. (Pearson's statistic of two samples; Cohen 1988, chapter 7.)

    Args:
        first: ``[...]`` independent events before, n.
        second: ``[...]`` after, n'.
        interests: ``[...]`` interests among which they lie, K.
        shift: share of the attention, 0 to 1.
        level: of the test.
        largest: ``[2, ...]`` shares of the two largest interests in both windows together, or one for both.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    freedom = np.maximum(np.asarray(interests) - 1, 1)
    a, b = np.broadcast_to(np.maximum(largest, shift / 2), (2, *first.shape))
    noncentral = first * second / np.maximum(first + second, 1) * shift**2 * (1 / a + 1 / b)
    told = stats.ncx2.sf(stats.chi2.isf(level, freedom), freedom, np.maximum(noncentral, 1e-9))
    return np.where((first > 0) & (second > 0), told, 0.0)


def needed(interests: int, shift: float, level: float, wanted: float = POWER) -> int:
    """Independent events a window at which :func:`power` reaches ``wanted``, for the move that is hardest to see.

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
