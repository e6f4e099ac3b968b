"""A mean over seeds, and how far it may be off: Student's t."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95% interval.

    Attributes:
        values: of each seed.
        mean: of them.
        half: half the width of the interval, ``mean ± half``; None for a single seed, which says nothing of others.
    """

    values: tuple[float, ...]
    mean: float
    half: float | None

    def __str__(self) -> str:
        return f"{self.mean:.4f}" if self.half is None else f"{self.mean:.4f} ± {self.half:.4f}"


def over_seeds(values: Sequence[float], level: float = 0.95) -> Estimate:
    """``x̄ ± t(n - 1) · s / √n``, with s the standard deviation of the n values (its sum of squares divided by n - 1)."""
    n, mean = len(values), statistics.fmean(values)
    half = student_t(n - 1, level) * statistics.stdev(values, mean) / math.sqrt(n) if n > 1 else None
    return Estimate(tuple(values), mean, half)


def student_t(freedom: int, level: float = 0.95) -> float:
    """The t that a Student's t of ``freedom`` degrees stays within, ``P(|T| < t) = level``; by bisection.

    The angle θ = atan(t / √freedom) is what is searched for: it lies in an interval, t does not.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, freedom) < level else (low, middle)
    return math.tan(low) * math.sqrt(freedom)


def within(theta: float, freedom: int) -> float:
    """``P(|T| < t)`` at θ = atan(t / √freedom): a finite sum, exact for whole degrees of freedom.

    Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.3 for odd and 26.7.4 for even degrees.
    """
    odd = freedom % 2
    term = math.cos(theta) ** odd
    total = 0.0 if freedom == 1 else term
    for i in range(2 + odd, freedom - 1, 2):
        term *= math.cos(theta) ** 2 * (i - 1) / i
        total += term
    return 2 / math.pi * (theta + math.sin(theta) * total) if odd else math.sin(theta) * total
