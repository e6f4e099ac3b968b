"""Distances between two distributions, and the statistic of the migration test."""

import numpy as np


def total_variation(p: np.ndarray, p2: np.ndarray) -> np.ndarray:
    r"""Total variation distance, 0 to 1: :math:`\mathrm{TV} = \frac12\sum_k |p'_k - p_k|`.

    Args:
        p: ``[..., K]`` shares before.
        p2: ``[..., K]`` shares after.

    Returns:
        ``[...]`` the share that moved.
    """
    return np.abs(p2 - p).sum(-1) / 2


def jensen_shannon(p: np.ndarray, p2: np.ndarray) -> np.ndarray:
    r"""Jensen-Shannon divergence in bits, 0 to 1: :math:`\mathrm{JS} = H(\frac{p + p'}{2}) - \frac{H(p) + H(p')}{2}`.

    Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37(1), 1991.

    Args:
        p: ``[..., K]`` shares before.
        p2: ``[..., K]`` shares after.

    Returns:
        ``[...]`` bits.
    """
    return np.maximum(0, entropy((p + p2) / 2) - (entropy(p) + entropy(p2)) / 2)


def entropy(p: np.ndarray) -> np.ndarray:
    r"""Shannon entropy in bits: :math:`H = -\sum_k p_k \log_2 p_k`.

    Args:
        p: ``[..., K]`` shares.

    Returns:
        ``[...]`` bits.
    """
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(-1)


def standardised_range(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""Largest standardised rise of a share plus the largest standardised fall.

    .. math:: S = \max_k z_k - \min_k z_k, \qquad
        z_k = \Bigl(\frac{c'_k}{n'} - \frac{c_k}{n}\Bigr)\Big/\sqrt{\frac{c_k + c'_k}{n + n'}\Bigl(\frac1n + \frac1{n'}\Bigr)}

    ``z_k`` is the two-sample statistic of a proportion. A user who migrates takes share from one interest and gives it to
    another, which S detects; a distance that sums over all interests also adds up the noise of those that did not change
    (``benchmarks/drift`` compares their power).

    Args:
        first: ``[..., K]`` counts before.
        second: ``[..., K]`` counts after.

    Returns:
        ``[...]`` in standard deviations.
    """
    n, n2 = (np.maximum(c.sum(-1, keepdims=True), 1) for c in (first, second))
    both = first + second
    z = (second / n2 - first / n) / np.sqrt(np.maximum(both, 1) / (n + n2) * (1 / n + 1 / n2))
    return z.max(-1) - z.min(-1)
