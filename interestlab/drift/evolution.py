"""Test whether a user's interests changed from within: their leaves, their centroid, their breadth, the funnel."""

from dataclasses import dataclass

import numpy as np

from interestlab.drift.funnel import compare_depths, compute_intensities
from interestlab.drift.leaves import count_leaves, leaf_change_statistics, leaf_entropies
from interestlab.drift.shares import InterestShares
from interestlab.drift.within_interests import PairStatistics, permute_within_interests
from interestlab.stats.permutation import UnitFeatures, monte_carlo_p_values


@dataclass(frozen=True)
class Evolution:
    """The evolution of each of U users between two windows; NaN (and -1) if nothing can be compared.

    Attributes:
        p: ``[U]`` p-value of the evolution (:func:`measure_evolution`).
        excess: ``[U]`` its statistic, standardised by its permutations: a score that ranks users.
        evolved_in: ``[U]`` interest that contributes most to it.
        displacement: ``[U]`` how far the centroids moved within the interests.
        p_displacement: ``[U]`` p-value of ``displacement``.
        entropy: ``[U]`` mean entropy over leaves before, bits, of the interests that occur in both windows.
        entropy_after: ``[U]`` the same after.
        p_entropy: ``[U]`` one-sided p-value of its fall (specialising).
        intensity: ``[U]`` events per day before.
        intensity_after: ``[U]`` events per day after.
        depth: ``[U]`` mean funnel depth before, 0 (views) to 1 (purchases).
        depth_after: ``[U]`` the same after.
        p_depth: ``[U]`` two-sided p-value of its change.
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
    r"""Test every user's evolution. Movement between interests has no influence, since sessions are permuted within each.

    The statistic is the sum of two parts, each standardised by its permutations: how differently the two windows are
    distributed over the leaves of each interest, and how much narrower the second is
    (:func:`interestlab.drift.leaves.leaf_change_statistics`). If most items are of an interest with one leaf, it is instead the
    displacement of the centroids, :math:`\sum_k n_k n'_k \lVert \mu'_k - \mu_k \rVert^2`, which also contains the noise of
    items within a leaf (``benchmarks/drift`` compares them).

    Args:
        shares: interest shares of users in two windows.
        draws: number of permutations.
        rng: draws them.

    Returns:
        Sizes and p-values.
    """
    displaced = permute_within_interests(shares, _vector_sums(shares), _displacement, 1, draws, rng)
    spread = permute_within_interests(shares, count_leaves(shares), leaf_change_statistics, 2, draws, rng)
    judged = spread if shares.interests.has_leaves else displaced
    displacement, narrowing = displaced.sum_by_user(), spread.sum_by_user()
    score = sum_standardised(judged)
    entropy, entropy_after = leaf_entropies(shares)
    depth, depth_after, p_depth = compare_depths(shares, draws, rng)
    intensity, intensity_after = compute_intensities(shares)
    return Evolution(
        p=_upper_tail(score),
        excess=score[0],
        evolved_in=judged.most_changed_interest(),
        displacement=displacement[0, 0],
        p_displacement=_upper_tail(displacement[0]),
        entropy=entropy,
        entropy_after=entropy_after,
        p_entropy=_upper_tail(narrowing[1]),
        intensity=intensity,
        intensity_after=intensity_after,
        depth=depth,
        depth_after=depth_after,
        p_depth=p_depth,
    )


def evolution_p_values(shares: InterestShares, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Compute only the p-value of :func:`measure_evolution`.

    Args:
        shares: interest shares of users in two windows.
        draws: number of permutations.
        rng: draws them.

    Returns:
        ``[U]`` p-values; NaN if nothing can be compared.
    """
    if shares.interests.has_leaves:
        spread = permute_within_interests(shares, count_leaves(shares), leaf_change_statistics, 2, draws, rng)
        return _upper_tail(sum_standardised(spread))
    displaced = permute_within_interests(shares, _vector_sums(shares), _displacement, 1, draws, rng)
    return _upper_tail(sum_standardised(displaced))


def sum_standardised(statistics: PairStatistics) -> np.ndarray:
    """Sum each user's statistics, each standardised by all its replicates.

    The observed value is standardised like a permuted one, so that a p-value of the sum is exact.

    Args:
        statistics: statistics of the pairs of user and interest.

    Returns:
        ``[1 + R, U]`` sums, first as observed.
    """
    values = statistics.sum_by_user()
    mean, spread = values.mean(1, keepdims=True), values.std(1, keepdims=True)
    score: np.ndarray = ((values - mean) / np.maximum(spread, 1e-9)).sum(0)
    return np.where(np.isnan(values[0]), np.nan, score)


def _upper_tail(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values[0]), np.nan, monte_carlo_p_values(values))


def _vector_sums(shares: InterestShares) -> UnitFeatures:
    """For each cell: the number of events whose item has a vector, and the sum of these vectors."""
    vectors = shares.interests.vectors
    cell = shares.cell[1]
    value = np.zeros((len(shares.cell[0]), 1 + vectors.shape[1]), np.float32)
    np.add.at(value[:, 1:], cell, vectors[shares.log.item])
    known = np.any(vectors, axis=1)[shares.log.item]  # a vector of zeros is a missing one, not a position
    value[:, 0] = np.bincount(cell, weights=known, minlength=len(value))
    return UnitFeatures(np.arange(len(value)), np.zeros(len(value), np.int64), value)


def _displacement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    r"""``[1, S, G]`` :math:`n n' \lVert \mu' - \mu \rVert^2`: the sum of squares between two windows."""
    n, n2 = first[..., 0], second[..., 0]
    difference = second[..., 1:] / np.maximum(n2, 1)[..., None] - first[..., 1:] / np.maximum(n, 1)[..., None]
    return (n * n2 * np.einsum("sgd,sgd->sg", difference, difference))[None]
