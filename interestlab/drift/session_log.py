"""A log by session: the items, times and sessions of every user's events."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from interestlab.data.event_store import EventStore

FUNNEL_DEPTHS = {"view": 0.0, "click": 0.0, "cart": 0.5, "favorite": 0.5, "purchase": 1.0, "review": 1.0}
"""Depth in the funnel by type of event; the depth of other types is unknown."""

DEFAULT_SESSION_GAP = 1800
"""Seconds without an event that end a session: half an hour, the convention of web analytics."""


@dataclass(frozen=True)
class SessionLog:
    """The events of U users, sorted by user and time and divided into sessions.

    Attributes:
        users: ``[U]`` id of each user.
        items: the catalogue, one row per item: ``item_id``, ``title``, ``brand``, ``category``, ...
        offsets: ``[U + 1]`` int64 where the events of each user begin.
        event_index: ``[E]`` int64 row of the event in the event store.
        time: ``[E]`` int64 unix seconds.
        item: ``[E]`` int32 index of the item.
        session: ``[E]`` int64 session, numbered over all users; no session contains events of two users.
        depth: ``[E]`` float32 depth in the funnel, 0 (view) to 1 (purchase); NaN if unknown.
        in_training: ``[E]`` bool whether the event belongs to the training split.
    """

    users: pl.Series
    items: pl.DataFrame
    offsets: np.ndarray
    event_index: np.ndarray
    time: np.ndarray
    item: np.ndarray
    session: np.ndarray
    depth: np.ndarray
    in_training: np.ndarray

    @cached_property
    def user(self) -> np.ndarray:
        """``[E]`` int64 index of the user of each event."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @cached_property
    def session_starts(self) -> np.ndarray:
        """``[S]`` int64 first event of each session."""
        return np.flatnonzero(np.r_[True, np.diff(self.session) != 0]) if len(self.session) else np.empty(0, np.int64)

    @cached_property
    def session_offsets(self) -> np.ndarray:
        """``[U + 1]`` int64 where the sessions of each user begin."""
        return np.searchsorted(self.session_starts, self.offsets)

    def keep_events(self, mask: np.ndarray) -> "SessionLog":
        """Select events. All users stay; sessions without events are removed.

        Args:
            mask: ``[E]`` bool, True for events to keep.

        Returns:
            A log of the selected events.
        """
        counts = np.bincount(self.user[mask], minlength=len(self.users))
        return self._select(self.users, np.r_[0, np.cumsum(counts)], mask)

    def slice_users(self, first: int, last: int) -> "SessionLog":
        """Select consecutive users.

        Args:
            first: index of the first user.
            last: index after the last user.

        Returns:
            A log of these users.
        """
        offsets = self.offsets[first : last + 1]
        return self._select(self.users[first:last], offsets - offsets[0], slice(offsets[0], offsets[-1]))

    def _select(self, users: pl.Series, offsets: np.ndarray, events: np.ndarray | slice) -> "SessionLog":
        session = self.session[events]
        columns = {name: getattr(self, name)[events] for name in ("event_index", "time", "item", "depth", "in_training")}
        renumbered = np.cumsum(np.diff(session, prepend=session[:1]) != 0)
        return replace(self, users=users, offsets=offsets, session=renumbered, **columns)


def build_session_log(store: EventStore, session_gap: int = DEFAULT_SESSION_GAP) -> SessionLog:
    """Divide the events of a store into sessions.

    Args:
        store: histories.
        session_gap: seconds without an event that end a session.

    Returns:
        All events of the store.
    """
    offsets, time = np.asarray(store.offsets), np.asarray(store.time)
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    position = np.arange(len(time)) - offsets[users]
    depths = store.events.select(pl.col("event").replace_strict(FUNNEL_DEPTHS, default=None, return_dtype=pl.Float32)).collect()
    return SessionLog(
        users=store.users,
        items=store.items,
        offsets=offsets,
        event_index=np.arange(len(time)),
        time=time,
        item=np.asarray(store.item),
        session=number_sessions(users, time, session_gap),
        depth=depths.to_series().fill_null(float("nan")).to_numpy(),
        in_training=position < store.split_positions.train[users],
    )


def number_sessions(user: np.ndarray, time: np.ndarray, session_gap: int) -> np.ndarray:
    """Number the sessions: a new one begins with each user, and after a gap.

    Args:
        user: ``[E]`` user of each event, ascending.
        time: ``[E]`` unix seconds, ascending within a user.
        session_gap: longest gap within a session, in seconds.

    Returns:
        ``[E]`` int64 session of each event.
    """
    is_start = np.ones(len(user), bool)
    is_start[1:] = (np.diff(user) != 0) | (np.diff(time) > session_gap)
    return np.cumsum(is_start) - 1
