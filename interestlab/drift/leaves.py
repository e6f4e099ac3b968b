"""The leaves within each interest: how a user's attention is spread over them, and how narrow it is."""

import numpy as np

from interestlab.drift.shares import InterestShares
from interestlab.stats.permutation import UnitFeatures


def count_leaves(shares: InterestShares) -> UnitFeatures:
    """Each session's events of an interest: how many of each leaf; leaves are numbered within the pair."""
    _, local = _local(shares)
    width = int(local.max()) + 1 if len(local) else 1
    keys, counts = np.unique(shares.cell[1] * width + local, return_counts=True)
    return UnitFeatures(keys // width, keys % width, counts.astype(np.float32))


def _local(shares: InterestShares) -> tuple[np.ndarray, np.ndarray]:
    """``[L]`` the pair of each leaf that a pair met, and ``[E]`` the number of each event's leaf within its pair."""
    leaf = shares.interests.leaf[shares.log.item]
    many = len(shares.interests.leaves) + 1
    keys, place = np.unique(shares.pair * many + leaf + 1, return_inverse=True)
    pair = keys // many
    return pair, place - np.searchsorted(pair, np.arange(len(shares.user)))[shares.pair]


def leaf_change_statistics(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""``[2, S, G]`` how differently two windows are spread over the leaves, and how much narrower the second is.

    .. math:: n n' \lVert q' - q \rVert^2, \qquad (n + n')\,\bigl(\hat H(q) - \hat H(q')\bigr)

    with the shares q of the leaves and the entropy of :func:`corrected_entropy`; large interests weigh more:
    small ones are noise.

    Args:
        first: ``[S, G, F]`` events of each leaf before.
        second: ``[S, G, F]`` after.
    """
    n, n2 = first.sum(-1), second.sum(-1)
    q, q2 = first / np.maximum(n, 1)[..., None], second / np.maximum(n2, 1)[..., None]
    return np.stack([n * n2 * np.square(q2 - q).sum(-1), (n + n2) * (corrected_entropy(first) - corrected_entropy(second))])


def corrected_entropy(counts: np.ndarray) -> np.ndarray:
    r"""``[...]`` entropy in bits of counts ``[..., F]``, with the correction of Miller & Madow (1955) for few events:
    :math:`\hat H + (F_{>0} - 1)/(2 n \ln 2)`.
    """
    n = np.maximum(counts.sum(-1), 1)
    plain = np.log2(n) - (counts * np.log2(np.maximum(counts, 1))).sum(-1) / n
    return plain + np.maximum((counts > 0).sum(-1) - 1, 0) / (2 * n * np.log(2))


def leaf_entropies(shares: InterestShares) -> tuple[np.ndarray, np.ndarray]:
    """``[U]`` leaf-level entropy before and after, bits: the mean over the interests of both windows, by their events."""
    pair, local = _local(shares)
    place = np.searchsorted(pair, np.arange(len(shares.user)))[shares.pair] + local
    late = shares.is_after[shares.log.session]
    both = (shares.counts[0] > 0) & (shares.counts[1] > 0)
    weight = both * (shares.counts[0] + shares.counts[1])
    total = shares.total(weight)
    out = []
    for part, n in zip((~late, late), shares.counts, strict=True):
        counts = np.bincount(place[part], minlength=len(pair))
        plain = np.bincount(pair, counts * np.log2(np.maximum(counts, 1)), len(n))
        leaves = np.bincount(pair, counts > 0, len(n))
        many = np.maximum(n, 1)
        h = np.log2(many) - plain / many + np.maximum(leaves - 1, 0) / (2 * many * np.log(2))
        out.append(np.where(total > 0, shares.total(weight * h) / np.maximum(total, 1), np.nan))
    return out[0], out[1]
