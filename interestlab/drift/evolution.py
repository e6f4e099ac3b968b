"""Whether a user's interests deepened: what of them is met, where that lies, how narrow it is, and how far down the funnel."""

from dataclasses import dataclass

import numpy as np

from interestlab.drift.funnel import compare_depths, compute_intensities
from interestlab.drift.leaves import count_leaves, leaf_change_statistics, leaf_entropies
from interestlab.drift.shares import InterestShares
from interestlab.drift.within_interests import PairStatistics, permute_within_interests
from interestlab.stats.permutation import UnitFeatures, monte_carlo_p_values


@dataclass(frozen=True)
class Evolution:
    """The evolution of each of U users between two windows; NaN (and -1) where nothing can be compared.

    Attributes:
        p: ``[U]`` p-value of the evolution: see :func:`measure_evolution`.
        excess: ``[U]`` its statistic, standardised by its permutations: a score that ranks users.
        evolved_in: ``[U]`` the interest that adds most to it.
        displacement: ``[U]`` how far the centroids moved within the interests.
        p_displacement: ``[U]`` its p-value.
        entropy: ``[U]`` leaf-level entropy before, bits, mean over the interests met in both windows.
        entropy_after: ``[U]`` after.
        p_entropy: ``[U]`` p-value of its fall (one-sided: specialising).
        intensity, intensity_after: ``[U]`` events a day, by the gaps between them.
        depth, depth_after: ``[U]`` mean depth of funnel, 0 (views) to 1 (purchases).
        p_depth: ``[U]`` its p-value, two-sided.
    """

    p: np.ndarray
    excess: np.ndarray
    evolved_in: np.ndarray
    displacement: np.ndarray
    p_displacement: np.ndarray
    entropy: np.ndarray
    entropy_after: np.ndarray
    p_entropy: np.ndarray
    intensity: np.ndarray
    intensity_after: np.ndarray
    depth: np.ndarray
    depth_after: np.ndarray
    p_depth: np.ndarray


def measure_evolution(shares: InterestShares, draws: int, rng: np.random.Generator) -> Evolution:
    r"""Test every user's evolution; what moved between interests cannot count, since sessions are permuted within each.

    The statistic adds how differently the two windows are spread over the leaves of each interest to how much narrower the
    second is (:func:`interestlab.drift.leaves.leaf_change_statistics`), each standardised by its permutations.
    Where most items are of an
    interest of one leaf, it is the displacement of the centroids, :math:`\sum_k n_k n'_k \lVert \mu'_k - \mu_k \rVert^2`,
    which also has the noise of items within a leaf (``benchmarks/drift`` compares them).

    Args:
        shares: of the users in two windows.
        draws: permutations.
        rng: draws them.
    """
    displaced = permute_within_interests(shares, _vectors(shares), _displacement, 1, draws, rng)
    spread = permute_within_interests(shares, count_leaves(shares), leaf_change_statistics, 2, draws, rng)
    judged = spread if shares.interests.has_leaves else displaced
    moved, narrowed = displaced.by_user(), spread.by_user()
    score = sum_standardised(judged)
    entropy, entropy_after = leaf_entropies(shares)
    depth, depth_after, p_depth = compare_depths(shares, draws, rng)
    intensity, intensity_after = compute_intensities(shares)
    return Evolution(
        p=_tail(score),
        excess=score[0],
        evolved_in=judged.most(),
        displacement=moved[0, 0],
        p_displacement=_tail(moved[0]),
        entropy=entropy,
        entropy_after=entropy_after,
        p_entropy=_tail(narrowed[1]),
        intensity=intensity,
        intensity_after=intensity_after,
        depth=depth,
        depth_after=depth_after,
        p_depth=p_depth,
    )


def evolution_p_values(shares: InterestShares, draws: int, rng: np.random.Generator) -> np.ndarray:
    """``[U]`` the p-value of the evolution alone, as of :func:`measure_evolution`."""
    if shares.interests.has_leaves:
        return _tail(
            sum_standardised(permute_within_interests(shares, count_leaves(shares), leaf_change_statistics, 2, draws, rng))
        )
    return _tail(sum_standardised(permute_within_interests(shares, _vectors(shares), _displacement, 1, draws, rng)))


def sum_standardised(found: PairStatistics) -> np.ndarray:
    """``[1 + R, U]`` sum of each user's statistics, each standardised by all its values: a permutation is treated as what was
    observed is, so that a p-value of the sum is exact.
    """
    values = found.by_user()
    mean, spread = values.mean(1, keepdims=True), values.std(1, keepdims=True)
    score: np.ndarray = ((values - mean) / np.maximum(spread, 1e-9)).sum(0)
    return np.where(np.isnan(values[0]), np.nan, score)


def _tail(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values[0]), np.nan, monte_carlo_p_values(values))


def _vectors(shares: InterestShares) -> UnitFeatures:
    """Each session's events of an interest: how many have a vector, and the sum of these."""
    vectors = shares.interests.vectors
    which = shares.cell[1]
    value = np.zeros((len(shares.cell[0]), 1 + vectors.shape[1]), np.float32)
    np.add.at(value[:, 1:], which, vectors[shares.log.item])
    known = np.any(vectors, axis=1)[shares.log.item]  # of the others nothing is known, which is not a place
    value[:, 0] = np.bincount(which, weights=known, minlength=len(value))
    return UnitFeatures(np.arange(len(value)), np.zeros(len(value), np.int64), value)


def _displacement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r""":math:`n n' \lVert \mu' - \mu \rVert^2`: the sum of squares between two windows, large interests weighing more."""
    n, n2 = first[..., 0], second[..., 0]
    apart = second[..., 1:] / np.maximum(n2, 1)[..., None] - first[..., 1:] / np.maximum(n, 1)[..., None]
    return (n * n2 * np.einsum("sgd,sgd->sg", apart, apart))[None]
