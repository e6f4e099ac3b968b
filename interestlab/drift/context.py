"""The shared inputs of all sections of a drift analysis: the log, its interests, the settings, and derived quantities."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

from interestlab.data.event_store import EventStore
from interestlab.drift.brands import rank_brands
from interestlab.drift.changes import label_sessions
from interestlab.drift.interests import Interests
from interestlab.drift.population import calendar_edges, catalogue_shift
from interestlab.drift.segmentation import Segmentation, cluster_users
from interestlab.drift.session_log import SessionLog
from interestlab.drift.settings import Settings
from interestlab.drift.shares import InterestShares, half_the_sessions, sessions_since
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE
from interestlab.errors import DataError, PluginError
from interestlab.inference.trajectory import ModelView


class LabelledEvents(NamedTuple):
    """Events by the interest, or by the brand, of their item.

    Attributes:
        kind: ``interest`` or ``brand``.
        log: events that have a label.
        label: ``[E]`` int64 index into ``names``.
        names: names of the labels.
    """

    kind: str
    log: SessionLog
    label: np.ndarray
    names: list[str]


class SessionLabels(NamedTuple):
    """The main interest of each session (:func:`interestlab.drift.changes.labels.label_sessions`).

    Attributes:
        offsets: ``[U + 1]`` where the sessions of each user begin.
        labels: ``[S]`` main interest of each session.
        starts: ``[S]`` first event of each session.
    """

    offsets: np.ndarray
    labels: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class Context:
    """The inputs of an analysis, and quantities that several sections need, each computed once.

    Attributes:
        store: histories, with titles and the users' own words.
        all_events: the store's events by user and session.
        interests: interest of each item.
        settings: settings of the analysis.
        model: a trained model of the same log, if its view is wanted.
        tables: tables of the sections that were computed so far.
    """

    store: EventStore
    all_events: SessionLog
    interests: Interests
    settings: Settings
    model: ModelView | None = None
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)

    def table(self, name: str) -> pl.DataFrame:
        """Return a table of an earlier section.

        Args:
            name: name of the table.

        Raises:
            PluginError: no section has computed it yet.
        """
        if name not in self.tables:
            raise PluginError(f"no earlier drift section computes the table {name}; add its section to `after`.")
        return self.tables[name]

    def random(self, name: str) -> np.random.Generator:
        """Create a generator whose draws depend on the seed and the name alone, not on other sections.

        Args:
            name: name of the section.
        """
        return np.random.default_rng([self.settings.seed, *name.encode()])

    @cached_property
    def log(self) -> SessionLog:
        """The events whose item has an interest.

        Raises:
            DataError: no event has an item with an interest.
        """
        log = self.all_events.keep_events(self.interests.item_interest[self.all_events.item] >= 0)
        if not len(log.time):
            raise DataError("no event is of an item that has an interest; choose others with --drift.interests.")
        return log

    @cached_property
    def shares(self) -> InterestShares:
        """Interest shares of every user in two windows.

        Raises:
            DataError: ``--drift.boundary`` is not a date.
        """
        time = parse_date(self.settings.boundary)
        after = half_the_sessions(self.log) if time is None else sessions_since(self.log, time)
        return InterestShares(self.log, self.interests, after)

    @cached_property
    def window_edges(self) -> np.ndarray:
        """``[W + 1]`` int64 edges of the calendar windows, unix seconds."""
        return calendar_edges(self.log, self.settings.windows)

    @cached_property
    def shift_ratio(self) -> np.ndarray:
        """``[P]`` catalogue shift of each pair of user and interest."""
        return catalogue_shift(self.shares, self.window_edges)

    @cached_property
    def _segmented(self) -> tuple[Segmentation, np.random.Generator]:
        settings, rng = self.settings, np.random.default_rng([self.settings.seed, 1])
        found = cluster_users(self.shares, self.shift_ratio, settings.segments, settings.permutations, rng, settings.seed)
        return found, rng

    @property
    def segmentation(self) -> Segmentation:
        """Segments of users with similar interests."""
        return self._segmented[0]

    @property
    def flow_rng(self) -> np.random.Generator:
        """The generator of the flows. It continues the segmentation's, so that flows are the same whichever sections run."""
        return self._segmented[1]

    @cached_property
    def brands(self) -> tuple[np.ndarray, list[str]]:
        """``[I]`` brand of each item, -1 for none; and the names of the brands."""
        return rank_brands(self.log)

    @cached_property
    def session_labels(self) -> SessionLabels:
        """Main interest of each session."""
        return SessionLabels(*label_sessions(self.log, self.interests))

    @cached_property
    def labelled_events(self) -> list[LabelledEvents]:
        """Events by interest, and by brand if the log has brands."""
        log, interests = self.log, self.interests
        kinds = [LabelledEvents("interest", log, interests.item_interest[log.item], interests.names)]
        brand, names = self.brands
        if names:
            branded = log.keep_events(brand[log.item] >= 0)
            kinds.append(LabelledEvents("brand", branded, brand[branded.item], names))
        return kinds

    @cached_property
    def answered(self) -> np.ndarray:
        """``[n]`` int64 indices of the users with sufficient evidence."""
        return np.flatnonzero((self.table("users")["verdict"] != INSUFFICIENT_EVIDENCE).to_numpy())


def parse_date(date: str | None) -> int | None:
    """Convert a date of ISO 8601 to unix seconds.

    Args:
        date: a date without a time zone is in UTC.

    Returns:
        Seconds; None without a date.

    Raises:
        DataError: the text is not a date.
    """
    if date is None:
        return None
    try:
        parsed = datetime.fromisoformat(date)
    except ValueError as err:
        raise DataError(f"--drift.boundary={date} is not a date; write it as 2014-01-01.") from err
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
