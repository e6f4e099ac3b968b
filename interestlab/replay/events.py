"""The events that are replayed, and the part of a history that a user state has read."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from interestlab.data.datamodule import InterestData
from interestlab.data.event_store import EventStore
from interestlab.data.split import cut_times
from interestlab.errors import DataError


@dataclass(frozen=True)
class ReplayedEvents:
    """The target events of the test window. Training reads no event at or after the start of the validation window.

    Attributes:
        log: the event store.
        rows: ``[n]`` int64 rows in the log, by user and time.
        users: ``[n]`` int64 user of each.
        start: unix seconds at which the window begins.
    """

    log: EventStore
    rows: np.ndarray
    users: np.ndarray
    start: int

    @classmethod
    def of(cls, data: InterestData) -> Self:
        """List the events.

        Args:
            data: a log that is split at two times.

        Raises:
            DataError: it is split otherwise, items were added to it, or the test window has no target.
        """
        if data.preparation.split != "global_time":
            raise DataError(
                f"a replay needs a run with --data.split=global_time, not {data.preparation.split}, so that training has "
                "read no event of the test window."
            )
        if data.added:
            raise DataError(
                "a replay ranks the items of the log; leave out --data.added_items, or give an extended run's parent."
            )
        log = data.log
        start = cut_times(log.time, data.preparation.split_quantiles)[1]
        rows = np.flatnonzero(log.is_target & (log.time >= start))
        if not len(rows):
            raise DataError("the test window has no event that can be a target; see `interestlab data describe`.")
        return cls(log, rows, np.searchsorted(log.offsets, rows, side="right") - 1, start)

    @property
    def begins(self) -> np.ndarray:
        """``[n]`` int64 first row of each event's history."""
        return np.asarray(self.log.offsets[self.users])

    def last_rows_read(self, period: int | None) -> np.ndarray:
        """Return the last event that the user state has read when an event arrives.

        States are refreshed at the multiples of the period since 1970 (UTC), and read all earlier events.

        Args:
            period: seconds; 0: at each event; None: never after the window began.

        Returns:
            ``[n]`` int64 rows; -1 where the state has read none.
        """
        if period == 0:
            last = self.rows - 1
        else:
            times = self.log.time[self.rows]
            last = self._count_before(np.full_like(times, self.start) if period is None else times - times % period) - 1
        return np.where(last >= self.begins, last, -1)

    def _count_before(self, times: np.ndarray) -> np.ndarray:
        """Return the row after the last event of each event's user before ``times [n]``."""
        # One search for all users: histories follow each other, so (user, time) ascends over the whole log.
        log, earliest = self.log, int(self.log.time.min())
        span = int(self.log.time.max()) - earliest + 2
        owners = np.repeat(np.arange(len(log.offsets) - 1), np.diff(log.offsets))
        return np.searchsorted(
            owners * span + (log.time - earliest), self.users * span + np.clip(times - earliest, 0, span - 1)
        )
