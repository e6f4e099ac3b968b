"""Where the attention of users lay before and after a moment of their own."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from interestlab.drift.decomposition import Decomposition, decompose, fill_missing_centroids
from interestlab.drift.interests import Interests
from interestlab.drift.session_log import SessionLog
from interestlab.stats.permutation import Groups, UnitFeatures


def half_the_sessions(log: SessionLog) -> np.ndarray:
    """``[U]`` int64 how many last sessions of each user make the second window: half of them.

    Sessions are counted, not their events: a moment that long sessions choose would leave the sessions unlike, and a test that
    permutes them would call users changed who only had one long visit.
    """
    return np.diff(log.session_offsets) // 2


def sessions_since(log: SessionLog, moment: int) -> np.ndarray:
    """``[U]`` int64 how many last sessions of each user begin at or after a moment, unix seconds."""
    users = np.repeat(np.arange(len(log.users)), np.diff(log.session_offsets))
    return np.bincount(users[log.time[log.session_starts] >= moment], minlength=len(log.users))


@dataclass(frozen=True)
class InterestShares:
    """A row for each user and interest that the user ever met ("pair"), by user.

    Attributes:
        log: whose every event has an interest.
        interests: which.
        second: ``[U]`` how many last sessions are in the second window.
    """

    log: SessionLog
    interests: Interests
    second: np.ndarray

    def part(self, first: int, last: int) -> "InterestShares":
        """That of the users from ``first`` up to ``last``."""
        return InterestShares(self.log.part(first, last), self.interests, self.second[first:last])

    def only(self, some: np.ndarray) -> "InterestShares":
        """That of some users ``[U]``; the others stay, without events."""
        return InterestShares(self.log.only(some[self.log.user]), self.interests, np.where(some, self.second, 0))

    @cached_property
    def is_after(self) -> np.ndarray:
        """``[S]`` bool whether a session is in the second window."""
        ends = self.log.session_offsets[1:]
        users = np.repeat(np.arange(len(ends)), np.diff(self.log.session_offsets))
        return np.arange(len(users)) >= (ends - self.second)[users]

    @cached_property
    def _pair(self) -> tuple[np.ndarray, np.ndarray]:
        keys = self.log.user * len(self.interests) + self.interests.of[self.log.item]
        return np.unique(keys, return_inverse=True)

    @cached_property
    def pair(self) -> np.ndarray:
        """``[E]`` which pair each event is of."""
        return self._pair[1]

    @cached_property
    def user(self) -> np.ndarray:
        """``[P]`` user of each pair, ascending."""
        return self._pair[0] // len(self.interests)

    @cached_property
    def interest(self) -> np.ndarray:
        """``[P]`` interest of each pair, ascending within a user."""
        return self._pair[0] % len(self.interests)

    @cached_property
    def offsets(self) -> np.ndarray:
        """``[U + 1]`` where each user's pairs begin."""
        return np.searchsorted(self.user, np.arange(len(self.log.users) + 1))

    @cached_property
    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """``[P]`` events before, and after."""
        is_after = self.is_after[self.log.session]
        before, after = (np.bincount(self.pair, weights=part, minlength=len(self.user)) for part in (~is_after, is_after))
        return before, after

    @cached_property
    def shares(self) -> tuple[np.ndarray, np.ndarray]:
        """``[P]`` share of each interest in its user's attention before, and after; 0 where a window has no event."""
        before, after = (c / np.maximum(self.total(c), 1)[self.user] for c in self.counts)
        return before, after

    @cached_property
    def _placed(self) -> tuple[np.ndarray, np.ndarray]:
        """``[P]`` events before, and after, of items of which it is known where they lie."""
        is_after = self.is_after[self.log.session]
        known = np.any(self.interests.vectors, axis=1)[self.log.item]
        before, after = (
            np.bincount(self.pair[part & known], minlength=len(self.user)).astype(float) for part in (~is_after, is_after)
        )
        return before, after

    @cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """``[P, D]`` sum of the vectors of the events before, and after."""
        vectors, is_after = self.interests.vectors, self.is_after[self.log.session]
        out = []
        for part in (~is_after, is_after):
            total = np.zeros((len(self.user), vectors.shape[1]))
            np.add.at(total, self.pair[part], vectors[self.log.item[part]])
            out.append(total)
        return out[0], out[1]

    @cached_property
    def decomposition(self) -> Decomposition:
        """``[U, D]`` migration and evolution of each user's mean vector (:func:`interestlab.drift.decomposition.decompose`)."""
        (p, p2), (placed, placed2) = self.shares, self._placed
        mu, mu2 = fill_missing_centroids(self.sums[0], placed, self.sums[1], placed2)
        parts = decompose(p[:, None], mu[:, None], p2[:, None], mu2[:, None])  # a pair is an interest of its own
        return Decomposition(*(self.total(part) for part in parts))

    def total(self, values: np.ndarray) -> np.ndarray:
        """``[U, ...]`` sum over the pairs ``[P, ...]`` of each user."""
        out = np.zeros((len(self.log.users), *values.shape[1:]), values.dtype)
        np.add.at(out, self.user, values)
        return out

    @cached_property
    def cell(self) -> tuple[np.ndarray, np.ndarray]:
        """Sessions by interest: ``[C]`` the key of each ``cell`` (pair and session), and ``[E]`` which one each event is of."""
        return np.unique(self.pair * (len(self.is_after) + 1) + self.log.session, return_inverse=True)

    @cached_property
    def session_groups(self) -> tuple[Groups, UnitFeatures]:
        """Users as groups of sessions, which hold how many events of each interest they have."""
        keys, many = np.unique(self.log.session * len(self.user) + self.pair, return_counts=True)
        session, pair = keys // max(1, len(self.user)), keys % max(1, len(self.user))
        feature = pair - self.offsets[self.user[pair]]
        return Groups(self.log.session_offsets, self.second), UnitFeatures(session, feature, many.astype(np.float32))

    @cached_property
    def intraclass_correlation(self) -> float:
        r"""How much likelier two events of one session are of one interest than two of one user's different sessions, 0 to 1.

        .. math:: \rho = \frac{P_\text{session} - P_\text{user}}{1 - P_\text{user}}

        over all pairs of events of all users: the intraclass correlation of the sessions (Donner & Klar 2000).
        """
        _, cells = self.session_groups
        met = self.counts[0] + self.counts[1]
        of_user = [self.total(met), met]
        of_session = [np.bincount(cells.unit, weights=cells.value), cells.value]
        pairs, same = (float((n * (n - 1.0)).sum()) for n in of_user)
        near_pairs, near_same = (float((n * (n - 1.0)).sum()) for n in of_session)
        near, far = near_same / max(near_pairs, 1), (same - near_same) / max(pairs - near_pairs, 1)
        return float(np.clip((near - far) / max(1 - far, 1e-9), 0, 1)) if near_pairs else 0.0

    @cached_property
    def two_largest(self) -> np.ndarray:
        """``[2, U]`` shares of each user's two largest interests in both windows together; 0 where there is none."""
        met = self.counts[0] + self.counts[1]
        share = met / np.maximum(self.total(met), 1)[self.user]
        order = np.lexsort((-share, self.user))
        place = np.arange(len(order)) - self.offsets[self.user]
        out = np.zeros((2, len(self.log.users)))
        for rank in range(2):
            here = order[place == rank]
            out[rank, self.user[here]] = share[here]
        return out

    def effective_events(self, intraclass_correlation: float) -> tuple[np.ndarray, np.ndarray]:
        r"""``[U]`` how many independent events each user's are worth before, and after.

        A session of m events is worth :math:`m / (1 + (m - 1)\rho)` (the design effect of Kish 1965).

        Args:
            intraclass_correlation: rho, of the whole log.
        """
        many = np.diff(np.r_[self.log.session_starts, len(self.log.time)])
        worth = many / (1 + (many - 1) * intraclass_correlation)
        user = self.log.user[self.log.session_starts]
        before, after = (
            np.bincount(user, weights=worth * part, minlength=len(self.log.users)) for part in (~self.is_after, self.is_after)
        )
        return before, after

    def log_weights(self, ratio: np.ndarray) -> np.ndarray:
        """``[S]`` float32 log of how much likelier a session is in the second window, where only the catalogue drifts.

        A session counts as one choice: the mean over its events.

        Args:
            ratio: ``[P]`` drift of the catalogue.
        """
        _, cells = self.session_groups
        many = len(self.is_after)
        user = self.log.user[self.log.session_starts]
        pair = self.offsets[user[cells.unit]] + cells.feature
        size = np.bincount(cells.unit, weights=cells.value, minlength=many)
        total = np.bincount(cells.unit, weights=np.log(ratio[pair]) * cells.value, minlength=many)
        return (total / np.maximum(size, 1)).astype(np.float32)

    @cached_property
    def pair_groups(self) -> Groups:
        """Pairs as groups of the sessions that touch them; the units are the cells."""
        pair, session = self.cell[0] // (len(self.is_after) + 1), self.cell[0] % (len(self.is_after) + 1)
        offsets = np.searchsorted(pair, np.arange(len(self.user) + 1))
        second = np.bincount(pair, weights=self.is_after[session], minlength=len(self.user)).astype(np.int64)
        return Groups(offsets, second)
