"""A store as a log: who met what, when, and in which session."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from interestlab.data.event_store import EventStore

FUNNEL_DEPTHS = {"view": 0.0, "click": 0.0, "cart": 0.5, "favorite": 0.5, "purchase": 1.0, "review": 1.0}
"""How far down the funnel a type of event is; of others nothing is said."""

DEFAULT_SESSION_GAP = 1800
"""Seconds without an event that end a session: the half hour that web analytics agree on."""


@dataclass(frozen=True)
class SessionLog:
    """Every user's events in order, one user after the other.

    Attributes:
        users: ``[U]`` the id of each user.
        items: the catalogue, an item at its index: ``item_id``, ``title``, ``brand``, ``category``, ...
        offsets: ``[U + 1]`` int64 where each user's events begin.
        row: ``[E]`` int64 which event of the store it is.
        time: ``[E]`` int64 unix seconds.
        item: ``[E]`` int32 index of the item.
        session: ``[E]`` int64 which session, numbered over all users; none spans two users.
        depth: ``[E]`` float32 how far down the funnel, 0 (view) to 1 (purchase); NaN where the log does not tell.
        train: ``[E]`` bool whether training saw the event.
    """

    users: pl.Series
    items: pl.DataFrame
    offsets: np.ndarray
    row: np.ndarray
    time: np.ndarray
    item: np.ndarray
    session: np.ndarray
    depth: np.ndarray
    train: np.ndarray

    @cached_property
    def user(self) -> np.ndarray:
        """``[E]`` int64 index of the user of each event."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def only(self, events: np.ndarray) -> "SessionLog":
        """The log of some events; users stay, sessions without events go.

        Args:
            events: ``[E]`` bool, which stay.
        """
        many = np.bincount(self.user[events], minlength=len(self.users))
        return self._cut(self.users, np.r_[0, np.cumsum(many)], events)

    def part(self, first: int, last: int) -> "SessionLog":
        """The log of the users from ``first`` up to ``last``."""
        offsets = self.offsets[first : last + 1]
        return self._cut(self.users[first:last], offsets - offsets[0], slice(offsets[0], offsets[-1]))

    def _cut(self, users: pl.Series, offsets: np.ndarray, events: np.ndarray | slice) -> "SessionLog":
        session = self.session[events]
        columns = {name: getattr(self, name)[events] for name in ("row", "time", "item", "depth", "train")}
        numbered = np.cumsum(np.diff(session, prepend=session[:1]) != 0)
        return replace(self, users=users, offsets=offsets, session=numbered, **columns)

    @cached_property
    def session_starts(self) -> np.ndarray:
        """``[S]`` int64 the first event of each session."""
        return np.flatnonzero(np.r_[True, np.diff(self.session) != 0]) if len(self.session) else np.empty(0, np.int64)

    @cached_property
    def session_offsets(self) -> np.ndarray:
        """``[U + 1]`` int64 where each user's sessions begin."""
        return np.searchsorted(self.session_starts, self.offsets)


def build_session_log(store: EventStore, session_gap: int = DEFAULT_SESSION_GAP) -> SessionLog:
    """The log of a store.

    Args:
        store: the histories.
        session_gap: seconds without an event after which the next begins another session.
    """
    offsets, time = np.asarray(store.offsets), np.asarray(store.time)
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    place = np.arange(len(time)) - offsets[users]
    kinds = store.events.select(pl.col("event").replace_strict(FUNNEL_DEPTHS, default=None, return_dtype=pl.Float32)).collect()
    return SessionLog(
        users=store.users,
        items=store.items,
        offsets=offsets,
        row=np.arange(len(time)),
        time=time,
        item=np.asarray(store.item),
        session=number_sessions(users, time, session_gap),
        depth=kinds.to_series().fill_null(float("nan")).to_numpy(),
        train=place < store.split_positions.train[users],
    )


def number_sessions(user: np.ndarray, time: np.ndarray, session_gap: int) -> np.ndarray:
    """``[E]`` int64 session of each event: another begins with a user, and after more than ``session_gap`` seconds.

    Args:
        user: ``[E]`` ascending.
        time: ``[E]`` ascending within a user, unix seconds.
        session_gap: seconds.
    """
    begins = np.ones(len(user), bool)
    begins[1:] = (np.diff(user) != 0) | (np.diff(time) > session_gap)
    return np.cumsum(begins) - 1
