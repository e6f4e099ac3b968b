"""Power of a test of homogeneity between two windows of events, and the sample size it needs."""

import numpy as np
from scipy import stats

TARGET_POWER = 0.8
"""Below this power, a test that detects no change is no evidence that nothing changed (Cohen 1988)."""


def homogeneity_test_power(
    first: np.ndarray, second: np.ndarray, interests: np.ndarray, shift: float, level: float, largest: np.ndarray | float = 0.5
) -> np.ndarray:
    r"""Power of Pearson's two-sample chi-square test when ``shift`` of the share moves from one interest to another.

    .. math:: P\bigl(\chi'^2_{K-1}(\lambda) > c_{K-1,\,1-\text{level}}\bigr), \qquad
        \lambda = \frac{n\,n'}{n + n'}\,\text{shift}^2\,\Bigl(\frac1a + \frac1b\Bigr)

    where a and b are the pooled shares of the two interests; the move makes each of them at least ``shift / 2``. The default
    of one half for both is the hardest case to detect. (Cohen, Statistical Power Analysis, 1988, chapter 7.)

    Args:
        first: ``[...]`` number of independent events in the first window, n.
        second: ``[...]`` number in the second window, n'.
        interests: ``[...]`` number of interests, K.
        shift: share that moves, 0 to 1.
        level: significance level of the test.
        largest: ``[2, ...]`` pooled shares of the two largest interests, or one value for both.

    Returns:
        ``[...]`` power, 0 to 1; 0 where a window is empty.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    freedom = np.maximum(np.asarray(interests) - 1, 1)
    a, b = np.broadcast_to(np.maximum(largest, shift / 2), (2, *first.shape))
    noncentrality = first * second / np.maximum(first + second, 1) * shift**2 * (1 / a + 1 / b)
    power = stats.ncx2.sf(stats.chi2.isf(level, freedom), freedom, np.maximum(noncentrality, 1e-9))
    return np.where((first > 0) & (second > 0), power, 0.0)


def required_sample_size(interests: int, shift: float, level: float, power: float = TARGET_POWER) -> int:
    """Return how many independent events each window needs to reach a power, in the case that is hardest to detect.

    Args:
        interests: number of interests, K.
        shift: share that moves, 0 to 1.
        level: significance level of the test.
        power: power to reach.

    Returns:
        Events per window, at most 100,000.
    """
    sizes = np.arange(1, 100_001)
    reached = homogeneity_test_power(sizes, sizes, np.array(interests), shift, level) >= power
    return int(sizes[reached.argmax()]) if reached.any() else len(sizes)
