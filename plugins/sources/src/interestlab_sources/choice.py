"""A draw from many distributions at once."""

import numpy as np

from interestlab_sources.shop import Floats, Ints


def choose(shares: Floats, rng: np.random.Generator) -> Ints:
    """A column of each row of ``shares [N, K]``, whose rows add up to 1."""
    reach = shares.cumsum(axis=1)
    reach[:, -1] = 1.0  # rounding may leave it a little below
    index: Ints = np.argmax(reach > rng.random(len(shares))[:, None], axis=1)
    return index
