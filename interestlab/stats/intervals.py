"""Student's t interval of a mean."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A mean with its confidence interval.

    Attributes:
        values: the sample, for instance one value per seed.
        mean: mean of the values.
        half_width: the interval is ``mean ± half_width``; None for a single value, from which no variance can be estimated.
    """

    values: tuple[float, ...]
    mean: float
    half_width: float | None

    def __str__(self) -> str:
        return f"{self.mean:.4f}" if self.half_width is None else f"{self.mean:.4f} ± {self.half_width:.4f}"


def t_interval(values: Sequence[float], level: float = 0.95) -> Estimate:
    """Confidence interval of a mean by Student's t: ``x̄ ± t(n - 1) · s / √n``.

    s is the sample standard deviation (its sum of squares is divided by n - 1). The interval assumes normal values.

    Args:
        values: n independent values, at least one.
        level: coverage of the interval.

    Returns:
        The mean and half the width of its interval.
    """
    n, mean = len(values), statistics.fmean(values)
    if n == 1:
        return Estimate(tuple(values), mean, None)
    quantile = float(stats.t.ppf((1 + level) / 2, n - 1))
    return Estimate(tuple(values), mean, quantile * statistics.stdev(values, mean) / math.sqrt(n))
