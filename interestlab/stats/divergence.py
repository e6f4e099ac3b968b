"""How far apart two distributions of attention are."""

import numpy as np


def total_variation(p: np.ndarray, p2: np.ndarray) -> np.ndarray:
    r""":math:`\mathrm{TV} = \frac12\sum_k |p'_k - p_k|`: the share of attention that moved, 0 to 1.

    Args:
        p: ``[..., K]`` shares before.
        p2: ``[..., K]`` shares after.
    """
    return np.abs(p2 - p).sum(-1) / 2


def jensen_shannon(p: np.ndarray, p2: np.ndarray) -> np.ndarray:
    r""":math:`\mathrm{JS} = H(\frac{p + p'}{2}) - \frac{H(p) + H(p')}{2}` in bits, 0 to 1.

    Lin 1991, IEEE Transactions on Information Theory 37(1).

    Args:
        p: ``[..., K]`` shares before.
        p2: ``[..., K]`` shares after.
    """
    return np.maximum(0, entropy((p + p2) / 2) - (entropy(p) + entropy(p2)) / 2)


def entropy(p: np.ndarray) -> np.ndarray:
    r""":math:`H = -\sum_k p_k \log_2 p_k` in bits.

    Args:
        p: ``[..., K]`` shares.
    """
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(-1)


def span(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""The largest standardised rise and the largest standardised fall together.

    .. math:: S = \max_k z_k - \min_k z_k, \qquad
        z_k = \Bigl(\frac{c'_k}{n'} - \frac{c_k}{n}\Bigr)\Big/\sqrt{\frac{c_k + c'_k}{n + n'}\Bigl(\frac1n + \frac1{n'}\Bigr)}

    A migration takes from one interest and gives to another, which is what this looks for; a distance that sums over all
    interests also adds up the noise of those that stayed (``benchmarks/drift`` compares them).

    Args:
        first: ``[..., K]`` counts before.
        second: ``[..., K]`` counts after.
    """
    n, n2 = (np.maximum(c.sum(-1, keepdims=True), 1) for c in (first, second))
    both = first + second
    z = (second / n2 - first / n) / np.sqrt(np.maximum(both, 1) / (n + n2) * (1 / n + 1 / n2))
    return z.max(-1) - z.min(-1)
