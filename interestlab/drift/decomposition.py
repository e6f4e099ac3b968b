"""Decompose the change of a mean vector exactly into migration and evolution."""

from typing import NamedTuple

import numpy as np

Floats = np.ndarray


class Decomposition(NamedTuple):
    """The two parts of the change of a mean vector.

    Attributes:
        migration: ``[..., D]`` the part caused by movement of shares between interests.
        evolution: ``[..., D]`` the part caused by movement within interests.
    """

    migration: Floats
    evolution: Floats


def decompose(p: Floats, mu: Floats, p2: Floats, mu2: Floats) -> Decomposition:
    r"""Decompose the change :math:`\Delta = \sum_k p'_k\mu'_k - \sum_k p_k\mu_k` of the mean vector.

    .. math::
        M = \sum_k (p'_k - p_k)\,\frac{\mu_k + \mu'_k}{2}, \qquad
        E = \sum_k \frac{p_k + p'_k}{2}\,(\mu'_k - \mu_k), \qquad M + E = \Delta.

    The identity holds for any values, so the centroid of an interest without events in a window can be chosen freely.
    :func:`fill_missing_centroids` takes that of the other window; an interest that appears or vanishes then counts as migration
    alone. This is the two-fold decomposition of Kitagawa (1955, JASA 50) for vectors.

    Args:
        p: ``[..., K]`` shares of the interests before.
        mu: ``[..., K, D]`` their centroids before.
        p2: ``[..., K]`` shares after.
        mu2: ``[..., K, D]`` centroids after.

    Returns:
        The two parts.
    """
    p, mu, p2, mu2 = (np.asarray(value) for value in (p, mu, p2, mu2))
    migration = ((p2 - p)[..., None] * (mu + mu2) / 2).sum(-2)
    evolution = ((p + p2)[..., None] / 2 * (mu2 - mu)).sum(-2)
    return Decomposition(migration, evolution)


def fill_missing_centroids(sums: Floats, counts: Floats, sums2: Floats, counts2: Floats) -> tuple[Floats, Floats]:
    """Compute the centroids of two windows; one without events takes the other window's, or zeros if both have none.

    Args:
        sums: ``[..., K, D]`` sum of the vectors of the events of each interest, before.
        counts: ``[..., K]`` number of these events.
        sums2: the same, after.
        counts2: the same, after.

    Returns:
        ``[..., K, D]`` centroids before, and after.
    """
    mu, mu2 = (s / np.maximum(n, 1)[..., None] for s, n in ((sums, counts), (sums2, counts2)))
    return np.where((counts > 0)[..., None], mu, mu2), np.where((counts2 > 0)[..., None], mu2, mu)
