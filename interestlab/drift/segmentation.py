"""Segments: clusters of users with similar interests, and how users move between them."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from interestlab.drift.shares import InterestShares
from interestlab.stats.permutation import gamma_p_values, independent_replicates, permutation_replicates, window_shares

MIN_MOVES = 5
"""A move between segments is tested only if at least this many users make it, averaged over the permutations."""

TILE = 4_000_000
"""Largest array of draws x users x interests."""


@dataclass(frozen=True)
class Segmentation:
    """S segments and the users in them.

    Attributes:
        names: ``[S]`` name of each segment.
        user_segment: ``[U]`` segment of each user over the full history; -1 for a user without events.
        before: ``[U]`` segment nearest to the user's first window; -1 for a user with one window.
        after: ``[U]`` segment nearest to the second window.
        moves: ``[S, S]`` number of users by segment before and after.
        moves_under_null: ``[S, S]`` its mean over permutations of sessions within users.
        p_moves: ``[S, S]`` p-value of a number as large; NaN if there are too few, see :data:`MIN_MOVES`.
        change: ``[S, K]`` mean change of the shares of the segment's users, beyond the catalogue shift.
        tv: ``[S]`` total variation of that mean change.
        tv_under_null: ``[S]`` its mean over the permutations.
        p: ``[S]`` its p-value.
    """

    names: list[str]
    user_segment: np.ndarray
    before: np.ndarray
    after: np.ndarray
    moves: np.ndarray
    moves_under_null: np.ndarray
    p_moves: np.ndarray
    change: np.ndarray
    tv: np.ndarray
    tv_under_null: np.ndarray
    p: np.ndarray


def cluster_users(
    shares: InterestShares, ratio: np.ndarray, count: int, draws: int, rng: np.random.Generator, seed: int = 0
) -> Segmentation:
    """Cluster users by the interest shares of their full history, and test how each segment changed.

    k-means on the square roots of the shares, whose distances are Hellinger distances. The full history is used because a
    segment of those who liked something *before* would appear to lose interest by regression to the mean alone. A permutation
    therefore leaves every user in their segment, and the pooled test is valid even if each user has too few events for a test.

    Args:
        shares: interest shares of all users in two windows.
        ratio: ``[P]`` catalogue shift, which the change of a segment is corrected for.
        count: largest number of segments.
        draws: number of permutations.
        rng: draws them.
        seed: seed of the initial centres.

    Returns:
        Segments, moves and tests.
    """
    from sklearn.cluster import KMeans

    users, interests = len(shares.log.users), len(shares.interests)
    counts = np.zeros((users, interests), np.float32)
    counts[shares.user, shares.interest] = sum(shares.counts)
    active = counts.sum(1) > 0
    profile = np.sqrt(counts / np.maximum(counts.sum(1, keepdims=True), 1))
    count = min(count, len(np.unique(profile[active].round(4), axis=0)))
    fitted = KMeans(count, n_init=4, random_state=seed).fit(profile[active])
    of = np.full(users, -1)
    of[active] = fitted.labels_
    centres = fitted.cluster_centers_.astype(np.float32)
    totals = _SegmentTotals(shares, ratio, of, centres, draws)
    groups, features = shares.session_groups
    step = max(1, TILE // ((1 + draws) * interests))
    for index, values, weights in permutation_replicates(
        groups, features, window_shares, draws, rng, shares.log_weights(ratio)
    ):
        values = independent_replicates(values, rng, weights)
        for first in range(0, len(index), step):
            totals.add(index[first : first + step], values[..., first : first + step])
    tv = np.abs(totals.change).sum(-1) / 2 / np.maximum(totals.users, 1)[:, None].T
    return Segmentation(
        names=_name_segments(counts, of, count, shares.interests.names),
        user_segment=of,
        before=totals.before,
        after=totals.after,
        moves=totals.moves[0],
        moves_under_null=totals.moves[1:].mean(0),
        p_moves=np.where(totals.moves.mean(0) >= MIN_MOVES, gamma_p_values(totals.moves), np.nan),
        change=totals.change[0] / np.maximum(totals.users, 1)[:, None],
        tv=tv[0],
        tv_under_null=tv[1:].mean(0),
        p=(tv >= tv[0] - 1e-9).mean(0),
    )


class _SegmentTotals:
    """Sums over users by segment, for the observed log and each permutation."""

    def __init__(self, shares: InterestShares, ratio: np.ndarray, of: np.ndarray, centres: np.ndarray, draws: int) -> None:
        self.shares, self.ratio, self.of, self.centres = shares, ratio, of, centres
        count, interests, users = *centres.shape, len(of)
        self.change = np.zeros((1 + draws, count, interests))
        self.moves = np.zeros((1 + draws, count, count))
        self.users = np.zeros(count)
        self.before, self.after = np.full(users, -1), np.full(users, -1)

    def add(self, index: np.ndarray, values: np.ndarray) -> None:
        """Add the shares ``[2F, 1 + R, g]`` of both windows of the users ``index [g]``."""
        width = len(values) // 2
        offsets = self.shares.offsets
        sizes = offsets[index + 1] - offsets[index]
        user = np.repeat(np.arange(len(index)), sizes)
        feature = np.concatenate([np.arange(m) for m in sizes])
        pair = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in index])
        interest = self.shares.interest[pair]
        dense = np.zeros((2, values.shape[1], len(index), self.centres.shape[1]), np.float32)
        dense[0][:, user, interest] = values[feature, :, user].T
        dense[1][:, user, interest] = values[width + feature, :, user].T
        nearest = (np.sqrt(dense) @ (2 * self.centres.T) - (self.centres**2).sum(1)).argmax(-1)
        self.before[index], self.after[index] = nearest[0, 0], nearest[1, 0]
        count = len(self.centres)
        for s in range(values.shape[1]):
            self.moves[s] += np.bincount(nearest[0, s] * count + nearest[1, s], minlength=count**2).reshape(count, count)
        dense[0][:, user, interest] *= self.ratio[pair]
        change = dense[1] - dense[0] / np.maximum(dense[0].sum(-1, keepdims=True), 1e-12)
        for segment in np.unique(self.of[index]):
            members = self.of[index] == segment
            self.change[:, segment] += change[:, members].sum(1)
            self.users[segment] += members.sum()


def _name_segments(counts: np.ndarray, of: np.ndarray, count: int, interests: list[str]) -> list[str]:
    """Name each segment by its largest interests."""
    out: list[str] = []
    for segment in range(count):
        members = counts[of == segment]
        mean = (members / np.maximum(members.sum(1, keepdims=True), 1)).mean(0)
        top = [k for k in np.argsort(-mean, kind="stable")[:3] if mean[k] >= 0.5 * mean.max() and mean[k] > 0]
        name = " + ".join(interests[k] for k in top)
        out.append(name if name not in out else f"{name} ({segment + 1})")
    return out


def compute_lifts(
    segment: np.ndarray, user: np.ndarray, label: np.ndarray, count: int, labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute how much more frequent each label is among a segment's users than among all users.

    Args:
        segment: ``[U]`` segment of each user, -1 for none.
        user: ``[E]`` user of each event.
        label: ``[E]`` label of each event.
        count: number of segments.
        labels: number of labels.

    Returns:
        ``[S, L]`` lift: mean share in the segment over the mean share among all users; and ``[S, L]`` one-sided p-value over
        users that it is not larger than among the others.
    """
    keys, counts = np.unique(user * labels + label, return_counts=True)
    who, what = keys // labels, keys % labels
    share = counts / np.bincount(user, minlength=len(segment))[who]
    active = np.bincount(np.unique(user), minlength=len(segment)) > 0
    users = np.array([(active & (segment == s)).sum() for s in range(count)], float)
    cell = segment[who] * labels + what
    inside = segment[who] >= 0
    total = np.bincount(cell[inside], weights=share[inside], minlength=count * labels).reshape(count, labels)
    square = np.bincount(what[inside], weights=share[inside] ** 2, minlength=labels)
    others, everyone = users.sum() - users, max(users.sum(), 1)
    mean, rest = total / np.maximum(users, 1)[:, None], (total.sum(0) - total) / np.maximum(others, 1)[:, None]
    variance = np.maximum(square / everyone - (total.sum(0) / everyone) ** 2, 0)
    error = variance * (1 / np.maximum(users, 1) + 1 / np.maximum(others, 1))[:, None]
    z = (mean - rest) / np.where(error > 0, np.sqrt(error), np.inf)
    return mean / np.maximum(total.sum(0) / everyone, 1e-12), stats.norm.sf(z)
