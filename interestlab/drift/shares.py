"""Interest shares: how each user's events are distributed over interests, before and after a boundary of the user's own."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from interestlab.drift.decomposition import Decomposition, decompose, fill_missing_centroids
from interestlab.drift.interests import Interests
from interestlab.drift.session_log import SessionLog
from interestlab.stats.permutation import Groups, UnitFeatures


def half_the_sessions(log: SessionLog) -> np.ndarray:
    """Assign the second half of each user's sessions to the second window.

    Sessions are counted, not events: if long sessions determined the boundary, the sessions would not be exchangeable, and a
    permutation test would call users changed who merely had one long visit.

    Args:
        log: events by session.

    Returns:
        ``[U]`` int64 number of each user's last sessions that are in the second window.
    """
    return np.diff(log.session_offsets) // 2


def sessions_since(log: SessionLog, time: int) -> np.ndarray:
    """Count the sessions that begin at or after a time.

    Args:
        log: events by session.
        time: unix seconds.

    Returns:
        ``[U]`` int64 number of each user's last sessions that are in the second window.
    """
    users = np.repeat(np.arange(len(log.users)), np.diff(log.session_offsets))
    return np.bincount(users[log.time[log.session_starts] >= time], minlength=len(log.users))


@dataclass(frozen=True)
class InterestShares:
    """Counts and shares of each user's interests in two windows.

    The P "pairs" are the combinations of a user and an interest that occur in the log, sorted by user and interest.

    Attributes:
        log: events, all of items that have an interest.
        interests: interest of each item.
        sessions_after: ``[U]`` number of each user's last sessions that are in the second window.
    """

    log: SessionLog
    interests: Interests
    sessions_after: np.ndarray

    def slice_users(self, first: int, last: int) -> "InterestShares":
        """Select consecutive users.

        Args:
            first: index of the first user.
            last: index after the last user.

        Returns:
            The shares of these users.
        """
        return InterestShares(self.log.slice_users(first, last), self.interests, self.sessions_after[first:last])

    def keep_users(self, mask: np.ndarray) -> "InterestShares":
        """Select users; the others stay in the arrays, without events.

        Args:
            mask: ``[U]`` bool, True for users to keep.

        Returns:
            Shares with the same users.
        """
        return InterestShares(self.log.keep_events(mask[self.log.user]), self.interests, np.where(mask, self.sessions_after, 0))

    @cached_property
    def is_after(self) -> np.ndarray:
        """``[S]`` bool whether a session is in the second window."""
        ends = self.log.session_offsets[1:]
        users = np.repeat(np.arange(len(ends)), np.diff(self.log.session_offsets))
        return np.arange(len(users)) >= (ends - self.sessions_after)[users]

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        keys = self.log.user * len(self.interests) + self.interests.item_interest[self.log.item]
        return np.unique(keys, return_inverse=True)

    @cached_property
    def pair(self) -> np.ndarray:
        """``[E]`` pair of each event."""
        return self._pairs[1]

    @cached_property
    def user(self) -> np.ndarray:
        """``[P]`` user of each pair, ascending."""
        return self._pairs[0] // len(self.interests)

    @cached_property
    def interest(self) -> np.ndarray:
        """``[P]`` interest of each pair, ascending within a user."""
        return self._pairs[0] % len(self.interests)

    @cached_property
    def offsets(self) -> np.ndarray:
        """``[U + 1]`` where the pairs of each user begin."""
        return np.searchsorted(self.user, np.arange(len(self.log.users) + 1))

    @cached_property
    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """``[P]`` number of events before, and after."""
        after = self.is_after[self.log.session]
        first, second = (np.bincount(self.pair, weights=events, minlength=len(self.user)) for events in (~after, after))
        return first, second

    @cached_property
    def shares(self) -> tuple[np.ndarray, np.ndarray]:
        """``[P]`` share of the interest among its user's events before, and after; 0 in a window without events."""
        before, after = (c / np.maximum(self.sum_by_user(c), 1)[self.user] for c in self.counts)
        return before, after

    @cached_property
    def _counts_with_vector(self) -> tuple[np.ndarray, np.ndarray]:
        """``[P]`` number of events before, and after, whose item has a vector."""
        after = self.is_after[self.log.session]
        known = np.any(self.interests.vectors, axis=1)[self.log.item]
        first, second = (
            np.bincount(self.pair[events & known], minlength=len(self.user)).astype(float) for events in (~after, after)
        )
        return first, second

    @cached_property
    def vector_sums(self) -> tuple[np.ndarray, np.ndarray]:
        """``[P, D]`` sum of the vectors of the events before, and after."""
        vectors, after = self.interests.vectors, self.is_after[self.log.session]
        out = []
        for events in (~after, after):
            total = np.zeros((len(self.user), vectors.shape[1]))
            np.add.at(total, self.pair[events], vectors[self.log.item[events]])
            out.append(total)
        return out[0], out[1]

    @cached_property
    def decomposition(self) -> Decomposition:
        """``[U, D]`` migration and evolution of each user's mean vector (:func:`interestlab.drift.decomposition.decompose`)."""
        (p, p2), (known, known2) = self.shares, self._counts_with_vector
        mu, mu2 = fill_missing_centroids(self.vector_sums[0], known, self.vector_sums[1], known2)
        parts = decompose(p[:, None], mu[:, None], p2[:, None], mu2[:, None])  # each pair as one interest of its own
        return Decomposition(*(self.sum_by_user(part) for part in parts))

    def sum_by_user(self, values: np.ndarray) -> np.ndarray:
        """Sum over the pairs of each user.

        Args:
            values: ``[P, ...]``.

        Returns:
            ``[U, ...]`` sums.
        """
        out = np.zeros((len(self.log.users), *values.shape[1:]), values.dtype)
        np.add.at(out, self.user, values)
        return out

    @cached_property
    def cell(self) -> tuple[np.ndarray, np.ndarray]:
        """``[C]`` key of each cell (a pair in a session, sorted), and ``[E]`` cell of each event."""
        return np.unique(self.pair * (len(self.is_after) + 1) + self.log.session, return_inverse=True)

    @cached_property
    def session_groups(self) -> tuple[Groups, UnitFeatures]:
        """Users as groups of sessions, for permutation tests; a session's features are its events of each interest."""
        keys, counts = np.unique(self.log.session * len(self.user) + self.pair, return_counts=True)
        session, pair = keys // max(1, len(self.user)), keys % max(1, len(self.user))
        feature = pair - self.offsets[self.user[pair]]
        groups = Groups(self.log.session_offsets, self.sessions_after)
        return groups, UnitFeatures(session, feature, counts.astype(np.float32))

    @cached_property
    def pair_groups(self) -> Groups:
        """Pairs as groups of the sessions that contain them, for permutation tests; the units are the cells."""
        pair, session = self.cell[0] // (len(self.is_after) + 1), self.cell[0] % (len(self.is_after) + 1)
        offsets = np.searchsorted(pair, np.arange(len(self.user) + 1))
        after = np.bincount(pair, weights=self.is_after[session], minlength=len(self.user)).astype(np.int64)
        return Groups(offsets, after)

    @cached_property
    def intraclass_correlation(self) -> float:
        r"""Correlation of the interests of two events of one session, 0 to 1.

        .. math:: \rho = \frac{P_\text{session} - P_\text{user}}{1 - P_\text{user}}

        with the probability that two events of one session, or of different sessions of one user, are of the same interest,
        over all pairs of events (Donner & Klar 2000).
        """
        _, cells = self.session_groups
        events = self.counts[0] + self.counts[1]
        of_user = [self.sum_by_user(events), events]
        of_session = [np.bincount(cells.unit, weights=cells.value), cells.value]
        pairs, equal = (float((n * (n - 1.0)).sum()) for n in of_user)
        session_pairs, session_equal = (float((n * (n - 1.0)).sum()) for n in of_session)
        within, between = session_equal / max(session_pairs, 1), (equal - session_equal) / max(pairs - session_pairs, 1)
        return float(np.clip((within - between) / max(1 - between, 1e-9), 0, 1)) if session_pairs else 0.0

    @cached_property
    def two_largest(self) -> np.ndarray:
        """``[2, U]`` shares of each user's two largest interests over both windows; 0 if there is none."""
        events = self.counts[0] + self.counts[1]
        share = events / np.maximum(self.sum_by_user(events), 1)[self.user]
        order = np.lexsort((-share, self.user))
        rank_within_user = np.arange(len(order)) - self.offsets[self.user]
        out = np.zeros((2, len(self.log.users)))
        for rank in range(2):
            chosen = order[rank_within_user == rank]
            out[rank, self.user[chosen]] = share[chosen]
        return out

    def effective_events(self, correlation: float) -> tuple[np.ndarray, np.ndarray]:
        r"""Compute the number of independent events that each user's events are equivalent to.

        A session of m events counts as :math:`m / (1 + (m - 1)\rho)` (the design effect of Kish 1965).

        Args:
            correlation: :attr:`intraclass_correlation` of the full log.

        Returns:
            ``[U]`` number before, and after.
        """
        sizes = np.diff(np.r_[self.log.session_starts, len(self.log.time)])
        effective = sizes / (1 + (sizes - 1) * correlation)
        user = self.log.user[self.log.session_starts]
        before, after = (
            np.bincount(user, weights=effective * sessions, minlength=len(self.log.users))
            for sessions in (~self.is_after, self.is_after)
        )
        return before, after

    def log_weights(self, ratio: np.ndarray) -> np.ndarray:
        """Compute how much likelier each session is in the second window if only the catalogue shifts.

        A session counts as one choice: the mean over its events.

        Args:
            ratio: ``[P]`` catalogue shift (:func:`interestlab.drift.population.catalogue_shift`).

        Returns:
            ``[S]`` float32 logarithm of the likelihood ratio.
        """
        _, cells = self.session_groups
        sessions = len(self.is_after)
        user = self.log.user[self.log.session_starts]
        pair = self.offsets[user[cells.unit]] + cells.feature
        size = np.bincount(cells.unit, weights=cells.value, minlength=sessions)
        total = np.bincount(cells.unit, weights=np.log(ratio[pair]) * cells.value, minlength=sessions)
        return (total / np.maximum(size, 1)).astype(np.float32)
