"""From which interest to which attention flowed, and how much of it chance alone would have made flow."""

from typing import NamedTuple

import numpy as np

from interestlab.drift.interests import Interests
from interestlab.drift.shares import InterestShares
from interestlab.stats.permutation import gamma_p_values, independent_replicates, permutation_replicates, window_shares

FEWEST = 20
"""Users who met both interests, below which no flow between these is tested."""


class Flows(NamedTuple):
    """InterestShares that flowed between K interests, a mean over users.

    Attributes:
        flow: ``[K, K]`` share of the attention that went from one to the other; what stayed is not told.
        by_chance: ``[K, K]`` its mean where sessions are permuted within users.
        p: ``[K, K]`` chance of a flow as large (:func:`interestlab.stats.permutation.gamma_p_values`); NaN where fewer than
            :data:`FEWEST` users met both interests, whenever they did.
        users: how many.
    """

    flow: np.ndarray
    by_chance: np.ndarray
    p: np.ndarray
    users: int


def transport_cost(interests: Interests) -> np.ndarray:
    """``[K, K]`` cost of moving attention between interests: 1 - cosine of their centroids, 0 on the diagonal."""
    centroids = interests.centroids
    unit = centroids / np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
    cost = np.maximum(0, 1 - unit @ unit.T)
    np.fill_diagonal(cost, 0)
    return cost


def transport(p: np.ndarray, p2: np.ndarray, cost: np.ndarray) -> np.ndarray:
    r"""The cheapest way to turn one distribution into another: optimal transport.

    .. math:: \min_{F \ge 0} \sum_{kl} F_{kl}\,c_{kl}, \qquad \sum_l F_{kl} = p_k, \quad \sum_k F_{kl} = p'_l

    InterestShares that both have stays where it is; only the rest is transported. (Peyré & Cuturi 2019, Computational Optimal
    Transport; solved exactly by the POT library.)

    Args:
        p: ``[K]`` shares before.
        p2: ``[K]`` shares after.
        cost: ``[K, K]``

    Returns:
        ``[K, K]`` flow; its diagonal is what stayed.
    """
    import ot

    flow = np.diag(np.minimum(p, p2)).astype(float)
    gives, takes = np.maximum(p - p2, 0), np.maximum(p2 - p, 0)
    a, b = np.flatnonzero(gives > 1e-9), np.flatnonzero(takes > 1e-9)
    if not len(a) or not len(b):
        return flow
    moved = gives[a].sum()
    if len(a) == 1 or len(b) == 1:  # there is but one way
        found = np.outer(gives[a], takes[b]) / takes[b].sum()
    else:
        found = ot.emd(gives[a] / moved, takes[b] / takes[b].sum(), np.ascontiguousarray(cost[np.ix_(a, b)])) * moved
    flow[np.ix_(a, b)] += found
    return flow


def measure_flows(
    shares: InterestShares, users: np.ndarray, cost: np.ndarray, ratio: np.ndarray, draws: int, rng: np.random.Generator
) -> Flows:
    """The flows of some users between their two windows, against those of their permuted sessions.

    They start from the shares of a user who only went along with the catalogue
    (:func:`interestlab.drift.migration.measure_migration`).
    Each user counts once. Costs users x draws small transports, some 20 microseconds each: sample the users.

    Args:
        shares: of the users in two windows.
        users: ``[n]`` indices of those that count.
        cost: ``[K, K]``
        ratio: ``[P]`` drift of the catalogue.
        draws: permutations.
        rng: draws them.
    """
    interests = len(shares.interests)
    groups, cells = shares.session_groups
    chosen = np.zeros(len(groups.second), bool)
    chosen[users] = True
    total = np.zeros((1 + draws, interests, interests))
    met, counted = np.zeros((interests, interests), np.int64), 0
    weight = shares.log_weights(ratio)
    for index, values, weights in permutation_replicates(groups.restrict_to(chosen), cells, window_shares, draws, rng, weight):
        values = independent_replicates(values, rng, weights)
        width = len(values) // 2
        for place, user in enumerate(index):
            pairs = slice(shares.offsets[user], shares.offsets[user + 1])
            here = shares.interest[pairs]
            near = cost[np.ix_(here, here)]
            before = values[: len(here), :, place] * ratio[pairs, None]
            before /= before.sum(0)
            for s in range(1 + draws):
                after = values[width : width + len(here), s, place]
                total[s][np.ix_(here, here)] += transport(before[:, s], after, near)
            met[np.ix_(here, here)] += 1
        counted += len(index)
    total /= max(counted, 1)
    total[:, range(interests), range(interests)] = 0
    p = np.where(met >= FEWEST, gamma_p_values(total), np.nan)
    return Flows(total[0], total[1:].mean(0), p, counted)
