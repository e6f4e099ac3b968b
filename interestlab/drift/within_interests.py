"""Permutation statistics within interests: sessions are permuted separately in each interest, and the results are summed."""

from dataclasses import dataclass

import numpy as np

from interestlab.drift.shares import InterestShares
from interestlab.stats.permutation import Statistic, UnitFeatures, independent_replicates, permutation_replicates


@dataclass(frozen=True)
class PairStatistics:
    """Statistics of the T pairs of user and interest that occur in both windows.

    Attributes:
        users: number of users.
        user: ``[T]`` user of each pair, ascending.
        interest: ``[T]`` interest of each pair.
        values: ``[J, 1 + R, T]`` the statistics, first as observed; pairs of one user are permuted independently.
    """

    users: int
    user: np.ndarray
    interest: np.ndarray
    values: np.ndarray

    def sum_by_user(self) -> np.ndarray:
        """Sum over the pairs of each user.

        Returns:
            ``[J, 1 + R, U]`` sums; NaN for a user without a pair.
        """
        out = np.full((*self.values.shape[:2], self.users), np.nan, np.float32)
        users, first = np.unique(self.user, return_index=True)
        if len(users):
            out[..., users] = np.add.reduceat(self.values, first, axis=2)
        return out

    def most_changed_interest(self) -> np.ndarray:
        """Find the interest whose first statistic exceeds its permutation mean most.

        Returns:
            ``[U]`` interest; -1 for a user without a pair.
        """
        excess = self.values[0, 0] - self.values[0, 1:].mean(0)
        order = np.lexsort((-excess, self.user))
        users, first = np.unique(self.user, return_index=True)
        out = np.full(self.users, -1)
        out[users] = self.interest[order[first]]
        return out


def permute_within_interests(
    shares: InterestShares, features: UnitFeatures, statistic: Statistic, count: int, draws: int, rng: np.random.Generator
) -> PairStatistics:
    """Permute the sessions that contain an interest, for each user and interest.

    Args:
        shares: interest shares of users in two windows.
        features: what is summed over each window, with ``shares.cell`` as units.
        statistic: computes the statistic from the two sums.
        count: number of values of the statistic, J.
        draws: number of permutations.
        rng: draws them.

    Returns:
        The statistics of every pair that occurs in both windows.
    """
    groups = shares.pair_groups
    pairs = np.flatnonzero((groups.second > 0) & (groups.second < np.diff(groups.offsets)))
    number = np.zeros(len(groups.second), np.int64)
    number[pairs] = np.arange(len(pairs))
    values = np.zeros((count, 1 + draws, len(pairs)), np.float32)
    for index, replicates, weights in permutation_replicates(groups, features, statistic, draws, rng):
        values[:, :, number[index]] = independent_replicates(replicates, rng, weights)
    return PairStatistics(len(shares.log.users), shares.user[pairs], shares.interest[pairs], values)
