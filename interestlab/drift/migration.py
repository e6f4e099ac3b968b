"""Test whether a user's events moved between interests, by how much, and from which interest to which."""

from dataclasses import dataclass

import numpy as np

from interestlab.drift.shares import InterestShares
from interestlab.stats.divergence import jensen_shannon, standardised_range, total_variation
from interestlab.stats.permutation import monte_carlo_p_values, permutation_replicates


@dataclass(frozen=True)
class Migration:
    """The migration of each of U users between two windows; NaN (and -1) for a user with one window.

    Attributes:
        tv: ``[U]`` total variation of the shares.
        js: ``[U]`` Jensen-Shannon divergence, bits.
        span: ``[U]`` largest standardised rise plus largest standardised fall of a share.
        p_tv: ``[U]`` p-value of ``tv``, by permuting the user's sessions.
        p_js: ``[U]`` p-value of ``js``.
        p_span: ``[U]`` p-value of ``span``.
        tv_under_null: ``[U]`` mean total variation over the permutations, which noise alone produces.
        floor: ``[U]`` smallest p-value that the permutations can give.
        excess: ``[U]`` ``span`` minus its permutation mean, in permutation standard deviations: a score that ranks users.
        moved: ``[U]`` share of the events that moved, beyond the catalogue shift.
        source: ``[U]`` interest with the largest fall, beyond the catalogue shift.
        destination: ``[U]`` interest with the largest rise.
    """

    tv: np.ndarray
    js: np.ndarray
    span: np.ndarray
    p_tv: np.ndarray
    p_js: np.ndarray
    p_span: np.ndarray
    tv_under_null: np.ndarray
    floor: np.ndarray
    excess: np.ndarray
    moved: np.ndarray
    source: np.ndarray
    destination: np.ndarray


def measure_migration(
    shares: InterestShares,
    draws: int,
    rng: np.random.Generator,
    ratio: np.ndarray | None = None,
) -> Migration:
    r"""Test every user's migration, corrected for the catalogue shift.

    Under the null hypothesis the user's preferences did not change: :math:`P(k \mid t) \propto \theta_k\,\pi_k(t)`, with
    :math:`\pi_k` the share of an interest among all users. Sessions are permuted between the windows (never single events,
    since the events of a session are correlated), and a permutation is weighted by its likelihood under the null,

    .. math:: w = \prod_{s \in \text{second}} \prod_k r_{k}^{c_{sk}/c_s}, \qquad r_k = \pi'_k/\pi_k.

    What moved is measured against :math:`p^*_k \propto p_k r_k`, the shares of a user who followed the catalogue shift.

    Args:
        shares: interest shares of users in two windows.
        draws: number of permutations.
        rng: draws them.
        ratio: ``[P]`` catalogue shift :math:`r_k` of each pair; None for no shift.

    Returns:
        Sizes and p-values.
    """
    users = len(shares.log.users)
    groups, features = shares.session_groups
    weight = None if ratio is None else shares.log_weights(ratio)
    observed = np.full((3, users), np.nan)
    p, (tv_under_null, floor, excess) = observed.copy(), np.full((3, users), np.nan)
    for index, values, weights in permutation_replicates(groups, features, _statistics, draws, rng, weight):
        observed[:, index], p[:, index] = values[:, 0], monte_carlo_p_values(values, weights)
        floor[index] = weights[0] / weights.sum(0)
        permuted, mass = values[:, 1:], weights[1:] / weights[1:].sum(0)
        mean = (permuted * mass).sum(1)
        spread = np.sqrt((((permuted - mean[:, None]) ** 2) * mass).sum(1))
        tv_under_null[index], excess[index] = mean[0], (values[2, 0] - mean[2]) / np.maximum(spread[2], 1e-6)
    moved, source, destination = measure_moves(shares, ratio)
    tested = ~np.isnan(observed[0])
    return Migration(
        tv=observed[0],
        js=observed[1],
        span=observed[2],
        p_tv=p[0],
        p_js=p[1],
        p_span=p[2],
        tv_under_null=tv_under_null,
        floor=floor,
        excess=excess,
        moved=np.where(tested, moved, np.nan),
        source=np.where(tested, source, -1),
        destination=np.where(tested, destination, -1),
    )


def _statistics(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    p, p2 = (c / np.maximum(c.sum(-1, keepdims=True), 1) for c in (first, second))
    return np.stack([total_variation(p, p2), jensen_shannon(p, p2), standardised_range(first, second)])


def measure_moves(shares: InterestShares, ratio: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measure the share of the events that moved beyond the catalogue shift, and between which interests.

    Args:
        shares: interest shares of users in two windows.
        ratio: ``[P]`` catalogue shift of each pair; None for no shift.

    Returns:
        ``[U]`` share that moved, interest with the largest fall, and interest with the largest rise (-1 if nothing moved).
    """
    p, p2 = shares.shares
    if ratio is not None:
        p = p * ratio
        p = p / np.maximum(shares.sum_by_user(p), 1e-12)[shares.user]
    change = p2 - p
    moved = shares.sum_by_user(np.abs(change)) / 2
    unchanged = moved < 1e-9
    source, destination = (np.where(unchanged, -1, interest_of_minimum(shares, order)) for order in (change, -change))
    return moved, source, destination


def interest_of_minimum(shares: InterestShares, value: np.ndarray) -> np.ndarray:
    """Find the interest with the smallest value among each user's pairs.

    Args:
        shares: interest shares of users in two windows.
        value: ``[P]``.

    Returns:
        ``[U]`` interest; -1 for a user without pairs.
    """
    order = np.lexsort((value, shares.user))
    present = np.diff(shares.offsets) > 0
    out = np.full(len(shares.log.users), -1)
    out[present] = shares.interest[order[shares.offsets[:-1][present]]]
    return out
