"""Simulated logs whose users' changes are known, and windows of events around these changes."""

import argparse
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from interestlab.data.datamodule import InterestData
from interestlab.drift.interests import Interests, taxonomy_interests
from interestlab.drift.session_log import SessionLog, build_session_log
from interestlab.drift.shares import InterestShares
from interestlab_sources.simulated import Simulated

STRENGTH, LEVEL = 0.6, 0.05
"""Share of the main interest, and level of the tests."""
MOVED = {"all": 1.0, "part": 0.6}
"""Share of the main interest that moves to another, by reading."""
VISITS = (1, 2)
"""Mean events per session."""
KINDS = ("migrate", "null", "evolve")
"""Kinds of users."""
DAYS = 3650
"""Long enough that two sessions are hardly ever within half an hour, where they would count as one."""
Key = tuple[Any, ...]
"""Section, visit, reading and what else a measurement is for."""
Values = defaultdict[Key, list[float]]
"""One value per seed, by what was measured."""


@dataclass(frozen=True)
class PlantedLog:
    """A log whose users' changes are known.

    Attributes:
        data: the log.
        session_log: its events in sessions.
        truth: one row per user, in the order of the session log.
    """

    data: InterestData
    session_log: SessionLog
    truth: pl.DataFrame

    @cached_property
    def kind(self) -> np.ndarray:
        """``[U]`` kind of each user."""
        return self.truth["kind"].to_numpy()

    @cached_property
    def moment(self) -> np.ndarray:
        """``[U]`` unix seconds at which each user changed; the middle session of users who did not."""
        offsets = self.session_log.session_offsets
        middle = self.session_log.time[self.session_log.session_starts[(offsets[:-1] + offsets[1:]) // 2]]
        return np.where(self.truth["timestamp"].is_null(), middle, self.truth["timestamp"].fill_null(0).to_numpy())

    @cached_property
    def interests(self) -> Interests:
        """The categories as interests, without item vectors."""
        return self.interests_at(np.zeros((self.session_log.items.height, 1), np.float32))

    def interests_at(self, vectors: np.ndarray) -> Interests:
        """Return the categories as interests, with item vectors ``[N, D]``."""
        return taxonomy_interests(self.session_log, vectors)

    def around(self, before: np.ndarray, after: np.ndarray) -> tuple[SessionLog, np.ndarray, np.ndarray]:
        """Select events around the moment of each user.

        Args:
            before: ``[U]`` number of last events before the moment.
            after: ``[U]`` number of first events after it.

        Returns:
            the log of these events; ``[U]`` the sessions after the moment; ``[U]`` whether the user has enough events.
        """
        events, moment = self.session_log, self.moment
        is_early = events.time < moment[events.user]
        early = np.bincount(events.user, weights=is_early, minlength=len(events.users)).astype(np.int64)
        position = np.arange(len(events.time)) - (events.offsets[:-1] + early)[events.user]
        has_enough = (early >= before) & (np.diff(events.offsets) - early >= after)
        in_window = (position >= -before[events.user]) & (position < after[events.user])
        window = events.keep_events(has_enough[events.user] & in_window)
        user = window.user[window.session_starts]
        is_late = window.time[window.session_starts] >= moment[user]
        return window, np.bincount(user[is_late], minlength=len(events.users)), has_enough

    def windows(self, interests: Interests, events: int) -> tuple[InterestShares, np.ndarray]:
        """Return interest shares in ``events`` events before and after, and ``[U]`` whether the user has them."""
        count = np.full(len(self.session_log.users), events)
        window, late_sessions, has_enough = self.around(count, count)
        return InterestShares(window, interests, late_sessions), has_enough


def make_log(options: argparse.Namespace, seed: int, visit: float, moved: float) -> PlantedLog:
    """Simulate a log with planted changes.

    Args:
        options: the command line, with the folder of the stores.
        seed: seed of the log.
        visit: mean events per session.
        moved: share of the main interest that moves in migrators.
    """
    source = Simulated(
        users=options.users,
        items=options.items,
        categories=options.categories,
        events=5 * max(options.events),
        migrate=1 / 3,
        evolve=1 / 3,
        strength=STRENGTH,
        moved=moved,
        visit=visit,
        days=DAYS,
        seed=seed,
    )
    data = InterestData(source, cache_dir=str(options.cache))
    events = build_session_log(data.log)
    truth = pl.read_parquet(data.log.folder / "truth.parquet")
    users = events.users.to_frame("user_id").join(truth, on="user_id", how="left", maintain_order="left")
    return PlantedLog(data, events, users)
