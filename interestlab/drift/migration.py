"""Whether a user's attention moved between interests, how much, and from where to where."""

from dataclasses import dataclass

import numpy as np

from interestlab.drift.shares import InterestShares
from interestlab.stats.divergence import jensen_shannon, standardised_range, total_variation
from interestlab.stats.permutation import monte_carlo_p_values, permutation_replicates


@dataclass(frozen=True)
class Migration:
    """The migration of each of U users between two windows; NaN (and -1) where a user has only one.

    Attributes:
        tv: ``[U]`` total variation of the shares.
        js: ``[U]`` Jensen-Shannon divergence, bits.
        span: ``[U]`` largest standardised rise and fall together.
        p_tv, p_js, p_span: ``[U]`` p-value of each, by permuting the user's sessions.
        tv_by_chance: ``[U]`` mean total variation of the permuted sessions: what noise alone makes.
        floor: ``[U]`` the least p-value that the permutations could have given.
        excess: ``[U]`` ``span`` less its mean by chance, in standard deviations by chance: a score that ranks users.
        moved: ``[U]`` share of the attention beyond what the whole catalogue's drift would have moved.
        source, destination: ``[U]`` interest of the largest fall and of the largest rise, beyond the catalogue's drift.
    """

    tv: np.ndarray
    js: np.ndarray
    span: np.ndarray
    p_tv: np.ndarray
    p_js: np.ndarray
    p_span: np.ndarray
    tv_by_chance: np.ndarray
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
    r"""Test every user's migration, with the drift of the whole catalogue taken out.

    The null says that what a user likes did not change: :math:`P(k \mid t) \propto \theta_k\,\pi_k(t)`, with :math:`\pi_k` the
    share of an interest among all users. Sessions are permuted between the windows (never single events: those of one session
    hang together), and a permutation counts by how likely it is under that null,

    .. math:: w = \prod_{s \in \text{second}} \prod_k r_{k}^{c_{sk}/c_s}, \qquad r_k = \pi'_k/\pi_k.

    What moved is told against :math:`p^*_k \propto p_k r_k`, the shares of a user who only went along.

    Args:
        shares: of the users in two windows.
        draws: permutations.
        rng: draws them.
        ratio: ``[P]`` :math:`r_k` for each pair; None: the catalogue stands still.
    """
    users = len(shares.log.users)
    groups, cells = shares.session_groups
    weight = None if ratio is None else shares.log_weights(ratio)
    seen = np.full((3, users), np.nan)
    p, (chance, floor, excess) = seen.copy(), np.full((3, users), np.nan)
    for index, values, weights in permutation_replicates(groups, cells, _statistics, draws, rng, weight):
        seen[:, index], p[:, index] = values[:, 0], monte_carlo_p_values(values, weights)
        floor[index] = weights[0] / weights.sum(0)
        drawn, mass = values[:, 1:], weights[1:] / weights[1:].sum(0)
        mean = (drawn * mass).sum(1)
        spread = np.sqrt((((drawn - mean[:, None]) ** 2) * mass).sum(1))
        chance[index], excess[index] = mean[0], (values[2, 0] - mean[2]) / np.maximum(spread[2], 1e-6)
    moved, source, destination = moves(shares, ratio)
    whole = ~np.isnan(seen[0])
    return Migration(
        tv=seen[0],
        js=seen[1],
        span=seen[2],
        p_tv=p[0],
        p_js=p[1],
        p_span=p[2],
        tv_by_chance=chance,
        floor=floor,
        excess=excess,
        moved=np.where(whole, moved, np.nan),
        source=np.where(whole, source, -1),
        destination=np.where(whole, destination, -1),
    )


def _statistics(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    p, p2 = (c / np.maximum(c.sum(-1, keepdims=True), 1) for c in (first, second))
    return np.stack([total_variation(p, p2), jensen_shannon(p, p2), standardised_range(first, second)])


def moves(shares: InterestShares, ratio: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``[U]`` share of the attention that moved beyond the catalogue's drift, and between which interests most of it."""
    p, p2 = shares.shares
    if ratio is not None:
        p = p * ratio
        p = p / np.maximum(shares.total(p), 1e-12)[shares.user]
    change = p2 - p
    moved = shares.total(np.abs(change)) / 2
    still = moved < 1e-9  # from nowhere to nowhere
    source, destination = (np.where(still, -1, least(shares, order)) for order in (change, -change))
    return moved, source, destination


def least(shares: InterestShares, value: np.ndarray) -> np.ndarray:
    """``[U]`` the interest of each user's pair of least value; -1 for a user without pairs."""
    order = np.lexsort((value, shares.user))
    held = np.diff(shares.offsets) > 0
    out = np.full(len(shares.log.users), -1)
    out[held] = shares.interest[order[shares.offsets[:-1][held]]]
    return out
