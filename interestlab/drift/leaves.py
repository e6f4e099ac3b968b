"""The leaves within each interest: how a user's attention is spread over them, and how narrow it is."""

import numpy as np

from interestlab.drift.attention import Attention
from interestlab.stats.permutation import UnitFeatures


def leaf_cells(attention: Attention) -> UnitFeatures:
    """Each session's events of an interest: how many of each leaf; leaves are numbered within the pair."""
    _, local = _local(attention)
    width = int(local.max()) + 1 if len(local) else 1
    keys, counts = np.unique(attention.cell[1] * width + local, return_counts=True)
    return UnitFeatures(keys // width, keys % width, counts.astype(np.float32))


def _local(attention: Attention) -> tuple[np.ndarray, np.ndarray]:
    """``[L]`` the pair of each leaf that a pair met, and ``[E]`` the number of each event's leaf within its pair."""
    leaf = attention.interests.leaf[attention.panel.item]
    many = len(attention.interests.leaves) + 1
    keys, place = np.unique(attention.pair * many + leaf + 1, return_inverse=True)
    pair = keys // many
    return pair, place - np.searchsorted(pair, np.arange(len(attention.user)))[attention.pair]


def rearranged(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""``[2, S, G]`` how differently two windows are spread over the leaves, and how much narrower the second is.

    .. math:: n n' \lVert q' - q \rVert^2, \qquad (n + n')\,\bigl(\hat H(q) - \hat H(q')\bigr)

    with the shares q of the leaves and the entropy of :func:`entropy_of`; large interests weigh more: small ones are noise.

    Args:
        first: ``[S, G, F]`` events of each leaf before.
        second: ``[S, G, F]`` after.
    """
    n, n2 = first.sum(-1), second.sum(-1)
    q, q2 = first / np.maximum(n, 1)[..., None], second / np.maximum(n2, 1)[..., None]
    return np.stack([n * n2 * np.square(q2 - q).sum(-1), (n + n2) * (entropy_of(first) - entropy_of(second))])


def entropy_of(counts: np.ndarray) -> np.ndarray:
    r"""``[...]`` entropy in bits of counts ``[..., F]``, with the correction of Miller & Madow (1955) for few events:
    :math:`\hat H + (F_{>0} - 1)/(2 n \ln 2)`.
    """
    n = np.maximum(counts.sum(-1), 1)
    plain = np.log2(n) - (counts * np.log2(np.maximum(counts, 1))).sum(-1) / n
    return plain + np.maximum((counts > 0).sum(-1) - 1, 0) / (2 * n * np.log(2))


def entropies(attention: Attention) -> tuple[np.ndarray, np.ndarray]:
    """``[U]`` leaf-level entropy before and after, bits: the mean over the interests of both windows, by their events."""
    pair, local = _local(attention)
    place = np.searchsorted(pair, np.arange(len(attention.user)))[attention.pair] + local
    late = attention.late[attention.panel.session]
    both = (attention.counts[0] > 0) & (attention.counts[1] > 0)
    weight = both * (attention.counts[0] + attention.counts[1])
    total = attention.total(weight)
    out = []
    for part, n in zip((~late, late), attention.counts, strict=True):
        counts = np.bincount(place[part], minlength=len(pair))
        plain = np.bincount(pair, counts * np.log2(np.maximum(counts, 1)), len(n))
        leaves = np.bincount(pair, counts > 0, len(n))
        many = np.maximum(n, 1)
        h = np.log2(many) - plain / many + np.maximum(leaves - 1, 0) / (2 * many * np.log(2))
        out.append(np.where(total > 0, attention.total(weight * h) / np.maximum(total, 1), np.nan))
    return out[0], out[1]
