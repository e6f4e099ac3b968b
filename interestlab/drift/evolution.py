"""Whether a user's interests deepened: where they lie, how narrow they are, how often, and how far down the funnel."""

from dataclasses import dataclass

import numpy as np

from interestlab.drift.attention import Attention
from interestlab.drift.migration import least
from interestlab.drift.permutation import Cells, Groups, Statistic, p_values, replicates

DAY = 86_400
_MOST_STATISTICS = 3


@dataclass(frozen=True)
class Evolution:
    """The evolution of each of U users between two windows; NaN (and -1) where nothing can be compared.

    Attributes:
        displacement: ``[U]`` how far centroids moved within the interests, as a sum of squares between the windows.
        p_displacement: ``[U]`` its p-value.
        excess: ``[U]`` the displacement less its mean by chance, in standard deviations by chance: a score that ranks users.
        evolved_in: ``[U]`` the interest that adds most to it.
        entropy: ``[U]`` leaf-level entropy before, bits, mean over the interests met in both windows.
        entropy_after: ``[U]`` after.
        p_entropy: ``[U]`` p-value of its fall (one-sided: specialising).
        intensity, intensity_after: ``[U]`` events a day of the window's own time.
        depth, depth_after: ``[U]`` mean depth of funnel, 0 (views) to 1 (purchases).
        p_depth: ``[U]`` its p-value, two-sided.
    """

    displacement: np.ndarray
    p_displacement: np.ndarray
    excess: np.ndarray
    evolved_in: np.ndarray
    entropy: np.ndarray
    entropy_after: np.ndarray
    p_entropy: np.ndarray
    intensity: np.ndarray
    intensity_after: np.ndarray
    depth: np.ndarray
    depth_after: np.ndarray
    p_depth: np.ndarray


def evolution(attention: Attention, draws: int, rng: np.random.Generator) -> Evolution:
    """Test every user's evolution; what moved between interests cannot count, since sessions are permuted within each.

    Args:
        attention: of the users in two windows.
        draws: permutations.
        rng: draws them.
    """
    values, [moved, *_] = _within(attention, _vectors(attention), _displacement, draws, rng)
    displacement = _by_user(attention, values)
    most = least(attention, np.where(np.isnan(moved), np.inf, values[1:].mean(0) - values[0]))
    values, [_, before, after] = _within(attention, _leaves(attention), _narrowing, draws, rng)
    weight = np.where(np.isnan(before), 0, sum(attention.counts))
    total = attention.total(weight)
    entropy, entropy_after = (
        np.where(total > 0, attention.total(weight * np.nan_to_num(h)) / np.maximum(total, 1), np.nan) for h in (before, after)
    )
    depth, depth_after, p_depth = _depths(attention, draws, rng)
    intensity, intensity_after = _intensities(attention)
    return Evolution(
        displacement=displacement[0],
        p_displacement=_tail(displacement),
        excess=(displacement[0] - displacement[1:].mean(0)) / np.maximum(displacement[1:].std(0), 1e-9),
        evolved_in=np.where(total > 0, most, -1),
        entropy=entropy,
        entropy_after=entropy_after,
        p_entropy=_tail(_by_user(attention, values)),
        intensity=intensity,
        intensity_after=intensity_after,
        depth=depth,
        depth_after=depth_after,
        p_depth=p_depth,
    )


def p_displacement(attention: Attention, draws: int, rng: np.random.Generator) -> np.ndarray:
    """``[U]`` the p-value of the displacement alone, as of :func:`evolution`."""
    return _tail(_by_user(attention, _within(attention, _vectors(attention), _displacement, draws, rng)[0]))


def _tail(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values[0]), np.nan, p_values(values))


def _within(
    attention: Attention, cells: Cells, statistic: Statistic, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Statistics of each pair: the first ``[1 + R, P]`` as observed and permuted, all ``[3, P]`` as observed; else NaN."""
    pairs = len(attention.user)
    values, seen = np.full((1 + draws, pairs), np.nan, np.float32), []
    for index, found, _ in replicates(attention.by_interest, cells, statistic, draws, rng):
        # Pairs of one shape share their partitions; shuffled, those of one user are independent.
        values[0, index], values[1:, index] = found[0, 0], rng.permuted(found[0, 1:], axis=0)
        seen.append((index, found[:, 0]))
    observed = np.full((_MOST_STATISTICS, pairs), np.nan)
    for index, found in seen:
        observed[: len(found), index] = found
    return values, observed


def _by_user(attention: Attention, values: np.ndarray) -> np.ndarray:
    """``[1 + R, U]`` sum over the pairs of each user that were compared; NaN where none was."""
    out = np.full((len(values), len(attention.panel.users)), np.nan, np.float32)
    held = np.flatnonzero(np.diff(attention.offsets))
    if len(held):
        known = np.add.reduceat(~np.isnan(values[0]), attention.offsets[held])
        out[:, held] = np.where(known > 0, np.add.reduceat(np.nan_to_num(values), attention.offsets[held], axis=1), np.nan)
    return out


def _vectors(attention: Attention) -> Cells:
    """Each session's events of an interest: how many have a vector, and the sum of these."""
    vectors = attention.interests.vectors
    which = attention.cell[1]
    value = np.zeros((len(attention.cell[0]), 1 + vectors.shape[1]), np.float32)
    np.add.at(value[:, 1:], which, vectors[attention.panel.item])
    known = np.any(vectors, axis=1)[attention.panel.item]  # of the others nothing is known, which is not a place
    value[:, 0] = np.bincount(which, weights=known, minlength=len(value))
    return Cells(np.arange(len(value)), np.zeros(len(value), np.int64), value)


def _displacement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r""":math:`\frac{n n'}{n + n'} \lVert \mu' - \mu \rVert^2`, the sum of squares between two windows."""
    n, n2 = first[..., 0], second[..., 0]
    apart = second[..., 1:] / np.maximum(n2, 1)[..., None] - first[..., 1:] / np.maximum(n, 1)[..., None]
    return (n * n2 / np.maximum(n + n2, 1) * np.einsum("sgd,sgd->sg", apart, apart))[None]


def _leaves(attention: Attention) -> Cells:
    """Each session's events of an interest: how many of each leaf; leaves are numbered within the pair."""
    leaf = attention.interests.leaf[attention.panel.item]
    many = len(attention.interests.leaves) + 1
    pairs, place = np.unique(attention.pair * many + leaf + 1, return_inverse=True)
    first = np.searchsorted(pairs // many, np.arange(len(attention.user)))
    local = place - first[attention.pair]
    width = int(local.max()) + 1 if len(local) else 1
    keys, counts = np.unique(attention.cell[1] * width + local, return_counts=True)
    return Cells(keys // width, keys % width, counts.astype(np.float32))


def _narrowing(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The fall of entropy, weighted by the events of the interest so that it adds up to the user's; both entropies."""
    weight = first.sum(-1) + second.sum(-1)
    before, after = entropy_of(first), entropy_of(second)
    return np.stack([weight * (before - after), before, after])


def entropy_of(counts: np.ndarray) -> np.ndarray:
    r"""``[...]`` entropy in bits of counts ``[..., F]``, with the correction of Miller & Madow (1955) for few events:
    :math:`\hat H + (F_{>0} - 1)/(2 n \ln 2)`.
    """
    n = np.maximum(counts.sum(-1), 1)
    plain = np.log2(n) - (counts * np.log2(np.maximum(counts, 1))).sum(-1) / n
    return plain + np.maximum((counts > 0).sum(-1) - 1, 0) / (2 * n * np.log(2))


def _depths(attention: Attention, draws: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``[U]`` mean depth before and after, and the p-value of their difference; NaN where the log does not tell types."""
    panel, users = attention.panel, len(attention.panel.users)
    told = ~np.isnan(panel.depth)
    value = np.zeros((len(attention.late), 2), np.float32)
    value[:, 0] = np.bincount(panel.session[told], minlength=len(value))
    value[:, 1] = np.bincount(panel.session[told], weights=panel.depth[told], minlength=len(value))
    cells = Cells(np.arange(len(value)), np.zeros(len(value), np.int64), value)
    groups = Groups(panel.session_offsets, attention.second)
    out = np.full((3, users), np.nan)
    if len(np.unique(panel.depth[told])) < 2:
        return out[0], out[1], out[2]

    def means(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        before, after = (w[..., 1] / np.where(w[..., 0] > 0, w[..., 0], np.nan) for w in (first, second))
        return np.stack([np.nan_to_num(np.abs(after - before)), before, after])

    for index, values, _ in replicates(groups, cells, means, draws, rng):
        both = ~np.isnan(values[1:, 0]).any(0)
        out[:2, index] = np.where(both, values[1:, 0], np.nan)
        out[2, index] = np.where(both, p_values(values[0]), np.nan)
    return out[0], out[1], out[2]


def _intensities(attention: Attention) -> tuple[np.ndarray, np.ndarray]:
    """``[U]`` events a day before and after; the windows meet where the second begins, and each is a day long at least."""
    panel = attention.panel
    held = np.flatnonzero((attention.second > 0) & (attention.second < np.diff(panel.session_offsets)))
    first, last = panel.time[panel.offsets[held]], panel.time[panel.offsets[held + 1] - 1]
    parts = panel.begins[panel.session_offsets[held + 1] - attention.second[held]]
    middle = panel.time[parts]
    before, after = np.full(len(panel.users), np.nan), np.full(len(panel.users), np.nan)
    before[held] = (parts - panel.offsets[held]) / np.maximum((middle - first) / DAY, 1)
    after[held] = (panel.offsets[held + 1] - parts) / np.maximum((last - middle) / DAY, 1)
    return before, after
