"""Segments of users of like interests, what marks them, and how users move between them."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from interestlab.drift.shares import InterestShares
from interestlab.stats.multiple_testing import benjamini_hochberg
from interestlab.stats.permutation import gamma_p_values, independent_replicates, permutation_replicates, window_shares

FEWEST = 5
"""Mean number of users who move from one segment to another below which the move is not tested."""


_CELLS = 4_000_000
"""Numbers held at once: draws x users x interests."""


@dataclass(frozen=True)
class Segmentation:
    """``S`` segments and who is in them.

    Attributes:
        names: ``[S]``
        of: ``[U]`` segment of each user over the whole history; -1 for a user without events.
        before, after: ``[U]`` segment that each window alone would say; -1 where a user has not both.
        moves: ``[S, S]`` users by segment before and after.
        moves_by_chance: ``[S, S]`` their mean where sessions are permuted within users.
        p_moves: ``[S, S]`` chance of as many; NaN where these are too few to say, see :data:`FEWEST`.
        change: ``[S, K]`` mean change of the shares of the segment's users, beyond that of users who only went along.
        tv: ``[S]`` total variation of that pooled change.
        tv_by_chance: ``[S]`` its mean where sessions are permuted.
        p: ``[S]`` its p-value.
    """

    names: list[str]
    of: np.ndarray
    before: np.ndarray
    after: np.ndarray
    moves: np.ndarray
    moves_by_chance: np.ndarray
    p_moves: np.ndarray
    change: np.ndarray
    tv: np.ndarray
    tv_by_chance: np.ndarray
    p: np.ndarray


def cluster_users(
    shares: InterestShares, ratio: np.ndarray, count: int, draws: int, rng: np.random.Generator, seed: int = 0
) -> Segmentation:
    """Cluster users by what they gave their attention to over the whole history.

    k-means on the roots of the shares, whose distances are Hellinger's. It takes the whole history, since a segment of those
    who were keen on something *before* would seem to lose interest by regression to the mean alone. So a permutation leaves
    everyone in their segment, and the pooled test holds even where its users are too small to be tested by themselves.

    Args:
        shares: of all users in two windows.
        ratio: ``[P]`` drift of the catalogue, which a segment's change is told beyond.
        count: how many segments, at most.
        draws: permutations.
        rng: draws them.
        seed: of the first centres.
    """
    from sklearn.cluster import KMeans

    users, many = len(shares.log.users), len(shares.interests)
    counts = np.zeros((users, many), np.float32)
    counts[shares.user, shares.interest] = sum(shares.counts)
    held = counts.sum(1) > 0
    profile = np.sqrt(counts / np.maximum(counts.sum(1, keepdims=True), 1))
    count = min(count, len(np.unique(profile[held].round(4), axis=0)))
    found = KMeans(count, n_init=4, random_state=seed).fit(profile[held])
    of = np.full(users, -1)
    of[held] = found.labels_
    centres = found.cluster_centers_.astype(np.float32)
    tested = _Tested(shares, ratio, of, centres, draws)
    groups, cells = shares.session_groups
    step = max(1, _CELLS // ((1 + draws) * many))
    for index, values, weights in permutation_replicates(groups, cells, window_shares, draws, rng, shares.log_weights(ratio)):
        values = independent_replicates(values, rng, weights)
        for first in range(0, len(index), step):
            tested.add(index[first : first + step], values[..., first : first + step])
    tv = np.abs(tested.change).sum(-1) / 2 / np.maximum(tested.users, 1)[:, None].T
    return Segmentation(
        names=_names(counts, of, count, shares.interests.names),
        of=of,
        before=tested.before,
        after=tested.after,
        moves=tested.moves[0],
        moves_by_chance=tested.moves[1:].mean(0),
        p_moves=np.where(tested.moves.mean(0) >= FEWEST, gamma_p_values(tested.moves), np.nan),
        change=tested.change[0] / np.maximum(tested.users, 1)[:, None],
        tv=tv[0],
        tv_by_chance=tv[1:].mean(0),
        p=(tv >= tv[0] - 1e-9).mean(0),
    )


class _Tested:
    """What is added up over users, for each permutation."""

    def __init__(self, shares: InterestShares, ratio: np.ndarray, of: np.ndarray, centres: np.ndarray, draws: int) -> None:
        self.shares, self.ratio, self.of, self.centres = shares, ratio, of, centres
        count, many, users = *centres.shape, len(of)
        self.change = np.zeros((1 + draws, count, many))
        self.moves = np.zeros((1 + draws, count, count))
        self.users = np.zeros(count)
        self.before, self.after = np.full(users, -1), np.full(users, -1)

    def add(self, index: np.ndarray, values: np.ndarray) -> None:
        """Add some users: their shares in both windows ``[2F, S, g]``."""
        width = len(values) // 2
        offsets = self.shares.offsets
        many = offsets[index + 1] - offsets[index]
        place = np.repeat(np.arange(len(index)), many)
        feature = np.concatenate([np.arange(m) for m in many])
        pair = np.concatenate([np.arange(offsets[i], offsets[i + 1]) for i in index])
        interest = self.shares.interest[pair]
        dense = np.zeros((2, values.shape[1], len(index), self.centres.shape[1]), np.float32)
        dense[0][:, place, interest] = values[feature, :, place].T
        dense[1][:, place, interest] = values[width + feature, :, place].T
        nearest = (np.sqrt(dense) @ (2 * self.centres.T) - (self.centres**2).sum(1)).argmax(-1)
        self.before[index], self.after[index] = nearest[0, 0], nearest[1, 0]
        count = len(self.centres)
        for s in range(values.shape[1]):
            self.moves[s] += np.bincount(nearest[0, s] * count + nearest[1, s], minlength=count**2).reshape(count, count)
        dense[0][:, place, interest] *= self.ratio[pair]
        change = dense[1] - dense[0] / np.maximum(dense[0].sum(-1, keepdims=True), 1e-12)
        for segment in np.unique(self.of[index]):
            here = self.of[index] == segment
            self.change[:, segment] += change[:, here].sum(1)
            self.users[segment] += here.sum()


def _names(counts: np.ndarray, of: np.ndarray, count: int, interests: list[str]) -> list[str]:
    """A segment is called by the interests that it gives most attention to."""
    out: list[str] = []
    for segment in range(count):
        share = counts[of == segment]
        mean = (share / np.maximum(share.sum(1, keepdims=True), 1)).mean(0)
        top = [k for k in np.argsort(-mean, kind="stable")[:3] if mean[k] >= 0.5 * mean.max() and mean[k] > 0]
        name = " + ".join(interests[k] for k in top)
        out.append(name if name not in out else f"{name} ({segment + 1})")
    return out


def compute_lifts(
    segment: np.ndarray, user: np.ndarray, label: np.ndarray, count: int, labels: int
) -> tuple[np.ndarray, np.ndarray]:
    """How much more of each label a segment's users take than everyone does.

    Args:
        segment: ``[U]`` of each user, -1 for none.
        user, label: ``[E]`` of each event.
        count: segments.
        labels: how many labels.

    Returns:
        ``[S, L]`` lift: mean share in the segment over that among all users; ``[S, L]`` p-value that it is no more than among
        the others (over users, one-sided).
    """
    keys, many = np.unique(user * labels + label, return_counts=True)
    who, what = keys // labels, keys % labels
    share = many / np.bincount(user, minlength=len(segment))[who]
    there = np.bincount(np.unique(user), minlength=len(segment)) > 0
    users = np.array([(there & (segment == s)).sum() for s in range(count)], float)
    place = segment[who] * labels + what
    inside = segment[who] >= 0
    total = np.bincount(place[inside], weights=share[inside], minlength=count * labels).reshape(count, labels)
    square = np.bincount(what[inside], weights=share[inside] ** 2, minlength=labels)
    others, everyone = users.sum() - users, max(users.sum(), 1)
    mean, rest = total / np.maximum(users, 1)[:, None], (total.sum(0) - total) / np.maximum(others, 1)[:, None]
    within = np.maximum(square / everyone - (total.sum(0) / everyone) ** 2, 0)
    error = within * (1 / np.maximum(users, 1) + 1 / np.maximum(others, 1))[:, None]
    z = (mean - rest) / np.where(error > 0, np.sqrt(error), np.inf)
    return mean / np.maximum(total.sum(0) / everyone, 1e-12), stats.norm.sf(z)


def moves_table(found: Segmentation) -> pl.DataFrame:
    """A row for each two segments: ``source, destination, users, by_chance, p, q``."""
    source, destination = (axis.ravel() for axis in np.indices(found.moves.shape))
    p = np.where(source == destination, np.nan, found.p_moves.ravel())
    return pl.DataFrame(
        {
            "source": [found.names[s] for s in source],
            "destination": [found.names[s] for s in destination],
            "users": found.moves.ravel().astype(np.int64),
            "by_chance": found.moves_by_chance.ravel(),
            "p": p,
            "q": benjamini_hochberg(p),
        }
    ).with_columns(pl.col("p", "q").fill_nan(None))
