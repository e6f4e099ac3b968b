"""Flows: the share of events that moved from one interest to another, and its mean over permutations of sessions."""

from typing import NamedTuple

import numpy as np

from interestlab.drift.interests import Interests
from interestlab.drift.shares import InterestShares
from interestlab.stats.permutation import gamma_p_values, independent_replicates, permutation_replicates, window_shares

MIN_USERS = 20
"""A flow is tested only if at least this many users have events of both interests."""


class Flows(NamedTuple):
    """Flows between K interests, means over users.

    Attributes:
        flow: ``[K, K]`` share of the events that moved from one interest to another; 0 on the diagonal.
        under_null: ``[K, K]`` its mean over permutations of sessions within users.
        p: ``[K, K]`` p-value (:func:`interestlab.stats.permutation.gamma_p_values`); NaN if fewer than :data:`MIN_USERS` users
            have events of both interests.
        users: number of users.
    """

    flow: np.ndarray
    under_null: np.ndarray
    p: np.ndarray
    users: int


def transport_cost(interests: Interests) -> np.ndarray:
    """Compute the cost of moving events between interests: 1 - cosine of their centroids.

    Args:
        interests: the interests, with their vectors.

    Returns:
        ``[K, K]`` cost, 0 on the diagonal.
    """
    centroids = interests.centroids
    unit = centroids / np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
    cost = np.maximum(0, 1 - unit @ unit.T)
    np.fill_diagonal(cost, 0)
    return cost


def transport(p: np.ndarray, p2: np.ndarray, cost: np.ndarray) -> np.ndarray:
    r"""Find the cheapest way to turn one distribution into another: optimal transport.

    .. math:: \min_{F \ge 0} \sum_{kl} F_{kl}\,c_{kl}, \qquad \sum_l F_{kl} = p_k, \quad \sum_k F_{kl} = p'_l

    What both distributions have in common stays in place; only the rest is transported. (Peyré & Cuturi 2019, Computational
    Optimal Transport; solved exactly by the POT library.)

    Args:
        p: ``[K]`` shares before.
        p2: ``[K]`` shares after.
        cost: ``[K, K]`` cost of moving from row to column.

    Returns:
        ``[K, K]`` flow; its diagonal is what stayed.
    """
    import ot

    flow = np.diag(np.minimum(p, p2)).astype(float)
    surplus, deficit = np.maximum(p - p2, 0), np.maximum(p2 - p, 0)
    a, b = np.flatnonzero(surplus > 1e-9), np.flatnonzero(deficit > 1e-9)
    if not len(a) or not len(b):
        return flow
    moved = surplus[a].sum()
    if len(a) == 1 or len(b) == 1:  # there is only one solution
        plan = np.outer(surplus[a], deficit[b]) / deficit[b].sum()
    else:
        plan = ot.emd(surplus[a] / moved, deficit[b] / deficit[b].sum(), np.ascontiguousarray(cost[np.ix_(a, b)])) * moved
    flow[np.ix_(a, b)] += plan
    return flow


def measure_flows(
    shares: InterestShares, users: np.ndarray, cost: np.ndarray, ratio: np.ndarray, draws: int, rng: np.random.Generator
) -> Flows:
    """Measure the flows of some users between their two windows, and compare them with those of permuted sessions.

    Flows start from the shares of a user who followed the catalogue shift
    (:func:`interestlab.drift.migration.measure_migration`). Each user counts once. Takes users x draws small transport
    problems, some 20 microseconds each: sample the users.

    Args:
        shares: interest shares of users in two windows.
        users: ``[n]`` indices of the users to include.
        cost: ``[K, K]`` of :func:`transport_cost`.
        ratio: ``[P]`` catalogue shift.
        draws: number of permutations.
        rng: draws them.

    Returns:
        Means over the users that have both windows.
    """
    interests = len(shares.interests)
    groups, features = shares.session_groups
    chosen = np.zeros(len(groups.second), bool)
    chosen[users] = True
    total = np.zeros((1 + draws, interests, interests))
    users_of_both, counted = np.zeros((interests, interests), np.int64), 0
    weight = shares.log_weights(ratio)
    for index, values, weights in permutation_replicates(
        groups.restrict_to(chosen), features, window_shares, draws, rng, weight
    ):
        values = independent_replicates(values, rng, weights)
        width = len(values) // 2
        for column, user in enumerate(index):
            pairs = slice(shares.offsets[user], shares.offsets[user + 1])
            own = shares.interest[pairs]
            own_cost = cost[np.ix_(own, own)]
            before = values[: len(own), :, column] * ratio[pairs, None]
            before /= before.sum(0)
            for s in range(1 + draws):
                after = values[width : width + len(own), s, column]
                total[s][np.ix_(own, own)] += transport(before[:, s], after, own_cost)
            users_of_both[np.ix_(own, own)] += 1
        counted += len(index)
    total /= max(counted, 1)
    total[:, range(interests), range(interests)] = 0
    p = np.where(users_of_both >= MIN_USERS, gamma_p_values(total), np.nan)
    return Flows(total[0], total[1:].mean(0), p, counted)
