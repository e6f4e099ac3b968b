"""Sampling from many discrete distributions at once."""

import numpy as np

from interestlab_sources.shop import Floats, Ints


def sample_rows(shares: Floats, rng: np.random.Generator) -> Ints:
    """Sample one column from each row.

    Args:
        shares: ``[N, K]`` probabilities; each row sums to 1.
        rng: random generator.

    Returns:
        ``[N]`` indices of columns.
    """
    cumulative = shares.cumsum(axis=1)
    cumulative[:, -1] = 1.0  # rounding may leave it slightly below
    index: Ints = np.argmax(cumulative > rng.random(len(shares))[:, None], axis=1)
    return index
