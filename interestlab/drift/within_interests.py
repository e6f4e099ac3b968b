"""Statistics within interests: each user's sessions are permuted in each interest by itself, and what comes out is added up."""

from dataclasses import dataclass

import numpy as np

from interestlab.drift.shares import InterestShares
from interestlab.stats.permutation import Statistic, UnitFeatures, independent_replicates, permutation_replicates


@dataclass(frozen=True)
class PairStatistics:
    """Statistics of the T pairs of user and interest that both windows have.

    Attributes:
        users: how many users there are.
        user: ``[T]`` of each pair, ascending.
        interest: ``[T]`` of each pair.
        values: ``[J, 1 + R, T]`` the statistics, the first as observed; pairs of one user are permuted independently.
    """

    users: int
    user: np.ndarray
    interest: np.ndarray
    values: np.ndarray

    def by_user(self) -> np.ndarray:
        """``[J, 1 + R, U]`` sums over the pairs of each user; NaN where there is none."""
        out = np.full((*self.values.shape[:2], self.users), np.nan, np.float32)
        held, first = np.unique(self.user, return_index=True)
        if len(held):
            out[..., held] = np.add.reduceat(self.values, first, axis=2)
        return out

    def most(self) -> np.ndarray:
        """``[U]`` the interest whose first statistic is most beyond its mean by chance; -1 where there is none."""
        beyond = self.values[0, 0] - self.values[0, 1:].mean(0)
        order = np.lexsort((-beyond, self.user))
        held, first = np.unique(self.user, return_index=True)
        out = np.full(self.users, -1)
        out[held] = self.interest[order[first]]
        return out


def permute_within_interests(
    shares: InterestShares, cells: UnitFeatures, statistic: Statistic, many: int, draws: int, rng: np.random.Generator
) -> PairStatistics:
    """Permute the sessions that touch an interest, for each user and interest.

    Args:
        shares: of the users in two windows.
        cells: what is summed, with ``shares.cell`` as units.
        statistic: of the two sums.
        many: how many it gives, J.
        draws: permutations.
        rng: draws them.
    """
    groups = shares.pair_groups
    pairs = np.flatnonzero((groups.second > 0) & (groups.second < np.diff(groups.offsets)))
    place = np.zeros(len(groups.second), np.int64)
    place[pairs] = np.arange(len(pairs))
    values = np.zeros((many, 1 + draws, len(pairs)), np.float32)
    for index, found, weights in permutation_replicates(groups, cells, statistic, draws, rng):
        values[:, :, place[index]] = independent_replicates(found, rng, weights)
    return PairStatistics(len(shares.log.users), shares.user[pairs], shares.interest[pairs], values)
