"""Distribution of a user's events over the leaves of an interest, and its entropy."""

import numpy as np

from interestlab.drift.shares import InterestShares
from interestlab.stats.permutation import UnitFeatures


def count_leaves(shares: InterestShares) -> UnitFeatures:
    """Count the events of each leaf in each cell (a pair of user and interest in a session).

    Args:
        shares: interest shares of users in two windows.

    Returns:
        Counts as features; leaves are numbered within the pair.
    """
    _, local = _number_leaves(shares)
    width = int(local.max()) + 1 if len(local) else 1
    keys, counts = np.unique(shares.cell[1] * width + local, return_counts=True)
    return UnitFeatures(keys // width, keys % width, counts.astype(np.float32))


def _number_leaves(shares: InterestShares) -> tuple[np.ndarray, np.ndarray]:
    """``[L]`` pair of each leaf that occurs in a pair, and ``[E]`` number of each event's leaf within its pair."""
    leaf = shares.interests.leaf[shares.log.item]
    base = len(shares.interests.leaves) + 1
    keys, inverse = np.unique(shares.pair * base + leaf + 1, return_inverse=True)
    pair = keys // base
    return pair, inverse - np.searchsorted(pair, np.arange(len(shares.user)))[shares.pair]


def leaf_change_statistics(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""Measure how differently two windows are distributed over the leaves, and how much narrower the second is.

    .. math:: n n' \lVert q' - q \rVert^2, \qquad (n + n')\,\bigl(\hat H(q) - \hat H(q')\bigr)

    with the shares q of the leaves and the entropy of :func:`corrected_entropy`. Large interests have more weight, since small
    ones are noisy.

    Args:
        first: ``[S, G, F]`` events of each leaf before.
        second: ``[S, G, F]`` after.

    Returns:
        ``[2, S, G]`` the two statistics.
    """
    n, n2 = first.sum(-1), second.sum(-1)
    q, q2 = first / np.maximum(n, 1)[..., None], second / np.maximum(n2, 1)[..., None]
    return np.stack([n * n2 * np.square(q2 - q).sum(-1), (n + n2) * (corrected_entropy(first) - corrected_entropy(second))])


def corrected_entropy(counts: np.ndarray) -> np.ndarray:
    r"""Compute the entropy of counts in bits, corrected for small samples (Miller & Madow 1955).

    .. math:: \hat H + (F_{>0} - 1)/(2 n \ln 2)

    Args:
        counts: ``[..., F]``.

    Returns:
        ``[...]`` bits.
    """
    n = np.maximum(counts.sum(-1), 1)
    plain = np.log2(n) - (counts * np.log2(np.maximum(counts, 1))).sum(-1) / n
    return plain + np.maximum((counts > 0).sum(-1) - 1, 0) / (2 * n * np.log(2))


def leaf_entropies(shares: InterestShares) -> tuple[np.ndarray, np.ndarray]:
    """Compute each user's mean entropy over the leaves, weighted by events, of the interests that occur in both windows.

    Args:
        shares: interest shares of users in two windows.

    Returns:
        ``[U]`` bits before, and after; NaN if no interest occurs in both windows.
    """
    pair, local = _number_leaves(shares)
    number = np.searchsorted(pair, np.arange(len(shares.user)))[shares.pair] + local
    after = shares.is_after[shares.log.session]
    both = (shares.counts[0] > 0) & (shares.counts[1] > 0)
    weight = both * (shares.counts[0] + shares.counts[1])
    total = shares.sum_by_user(weight)
    out = []
    for events, n in zip((~after, after), shares.counts, strict=True):
        counts = np.bincount(number[events], minlength=len(pair))
        plain = np.bincount(pair, counts * np.log2(np.maximum(counts, 1)), len(n))
        leaves = np.bincount(pair, counts > 0, len(n))
        size = np.maximum(n, 1)
        h = np.log2(size) - plain / size + np.maximum(leaves - 1, 0) / (2 * size * np.log(2))
        out.append(np.where(total > 0, shares.sum_by_user(weight * h) / np.maximum(total, 1), np.nan))
    return out[0], out[1]
