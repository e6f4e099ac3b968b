"""The change of a mean vector, split without residue into migration and evolution."""

from typing import NamedTuple

import numpy as np

Floats = np.ndarray


class Decomposition(NamedTuple):
    """What moved a mean vector.

    Attributes:
        migration: ``[..., D]`` the part that came from attention moving between interests.
        evolution: ``[..., D]`` the part that came from movement within interests.
    """

    migration: Floats
    evolution: Floats


def decompose(p: Floats, mu: Floats, p2: Floats, mu2: Floats) -> Decomposition:
    r"""Split the change :math:`\Delta = \sum_k p'_k\mu'_k - \sum_k p_k\mu_k` of the mean vector.

    .. math::
        M = \sum_k (p'_k - p_k)\,\frac{\mu_k + \mu'_k}{2}, \qquad
        E = \sum_k \frac{p_k + p'_k}{2}\,(\mu'_k - \mu_k), \qquad M + E = \Delta.

    The identity holds whatever the values are, so a centroid that a window does not have (no event of the interest) can be
    any: :func:`fill_missing_centroids` takes that of the other window, by which an interest that
    appears or vanishes counts as migration alone.
    It is the two-fold decomposition of Kitagawa (1955, JASA 50), in vectors.

    Args:
        p: ``[..., K]`` shares of the interests before.
        mu: ``[..., K, D]`` their centroids before.
        p2: ``[..., K]`` shares after.
        mu2: ``[..., K, D]`` centroids after.
    """
    p, mu, p2, mu2 = (np.asarray(value) for value in (p, mu, p2, mu2))
    migration = ((p2 - p)[..., None] * (mu + mu2) / 2).sum(-2)
    evolution = ((p + p2)[..., None] / 2 * (mu2 - mu)).sum(-2)
    return Decomposition(migration, evolution)


def fill_missing_centroids(sums: Floats, counts: Floats, sums2: Floats, counts2: Floats) -> tuple[Floats, Floats]:
    """Centroids of two windows; one that has no event of an interest takes the other's, and zeros where neither has.

    Args:
        sums: ``[..., K, D]`` sum of the vectors of the events of each interest, before.
        counts: ``[..., K]`` how many there are.
        sums2: of the second window.
        counts2: of the second window.

    Returns:
        ``[..., K, D]`` centroids before, and after.
    """
    mu, mu2 = (s / np.maximum(n, 1)[..., None] for s, n in ((sums, counts), (sums2, counts2)))
    return np.where((counts > 0)[..., None], mu, mu2), np.where((counts2 > 0)[..., None], mu2, mu)
