"""One analysis of drift: a log and its interests -> tables."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from interestlab.data.event_store import EventStore
from interestlab.drift import timelines
from interestlab.drift.attention import Attention, at, halves
from interestlab.drift.changes import session_labels
from interestlab.drift.changes.table import changed, examples
from interestlab.drift.flow_table import flow_table
from interestlab.drift.interests import Interests
from interestlab.drift.landscape import landscape
from interestlab.drift.model.table import model_view
from interestlab.drift.model.trajectory import ModelView
from interestlab.drift.notes import notes
from interestlab.drift.panel import panel
from interestlab.drift.population import calendar, catalogue_drift, shares_over_time, trends
from interestlab.drift.profiles import audiences, brands_of, segment_table
from interestlab.drift.segments import Segments, moves_table, segments
from interestlab.drift.settings import Settings
from interestlab.drift.users import users
from interestlab.drift.verdicts import UNKNOWN
from interestlab.errors import DataError
from interestlab.utils.versions import package_versions

PACKAGES = ("interestlab", "numpy", "polars", "scipy", "scikit-learn", "POT", "ruptures", "river")


@dataclass(frozen=True)
class Analysis:
    """What an analysis found.

    Attributes:
        tables: frames by name: ``users``, ``flows``, ``changes``, ``segments``, ``moves``, ``audiences``, ``shares``,
            ``trends``, ``map``, ``timelines``, and ``model`` where there is one. Their columns are told in ``docs/drift.md``.
        meta: of what, by which rule, and what cannot be said.
    """

    tables: Mapping[str, pl.DataFrame]
    meta: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        """Write every table as Parquet, the audiences as CSV too, and ``meta.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in self.tables.items():
            table.write_parquet(folder / f"{name}.parquet")
        self.tables["audiences"].write_csv(folder / "audiences.csv")
        (folder / "meta.json").write_text(json.dumps(self.meta, indent=1, ensure_ascii=False), "utf-8")


def analyse(
    log: EventStore, interests: Interests, settings: Settings, fingerprint: Mapping[str, Any], seen: ModelView | None = None
) -> Analysis:
    """Analyse the drift of everyone in a log.

    Costs events x permutations in time; users are tested :data:`interestlab.drift.users.BLOCK` at a time.

    Args:
        log: the histories.
        interests: of its items.
        settings: what counts as what.
        fingerprint: of the data, for the report.
        seen: a trained model, whose own view is told too.

    Raises:
        DataError: no event is of an item that has an interest, or the date of ``at`` is none.
    """
    whole = panel(log, settings.session_gap)
    held = whole.only(interests.of[whole.item] >= 0)
    if not len(held.time):
        raise DataError("no event is of an item that has an interest; choose others with --drift.interests.")
    moment = parsed(settings.at)
    attention = Attention(held, interests, halves(held) if moment is None else at(held, moment))
    edges = calendar(held, settings.windows)
    ratio = catalogue_drift(attention, edges)
    rng = np.random.default_rng([settings.seed, 1])

    people = users(attention, ratio, settings)
    answered = np.flatnonzero((people["verdict"] != UNKNOWN).to_numpy())
    found = segments(attention, ratio, settings.segments, settings.permutations, rng, settings.seed)
    people = people.with_columns(_segment(found, of).alias(name) for name, of in _SEGMENTS.items())
    brand, brands = brands_of(held)
    changes = changed(log, held, interests, answered, settings)
    shown = examples(changes, people, settings.examples)
    labels = session_labels(held, interests)[1]
    halfway = int(np.median(held.time))
    kinds = [("interest", held, interests.of[held.item], interests.names)]
    if brands:
        branded = held.only(brand[held.item] >= 0)
        kinds.append(("brand", branded, brand[branded.item], brands))
    tables = {
        "users": people,
        "shares": pl.concat(shares_over_time(of, label, names, edges, kind) for kind, of, label, names in kinds),
        "trends": pl.concat(
            trends(of, label, names, halfway, kind, settings.level_of_test) for kind, of, label, names in kinds
        ),
        "flows": flow_table(attention, ratio, edges, settings, rng),
        "changes": changes,
        "segments": segment_table(attention, found, people, brand, brands),
        "moves": moves_table(found),
        "audiences": audiences(held, interests, people, brand, brands),
        "map": landscape(held, interests, edges, people, settings.examples),
        "timelines": timelines.sessions(log, held, labels, interests.names, shown, changes),
    }
    if seen is not None:
        tables["model"] = model_view(seen, attention, answered)
    times = [datetime.fromtimestamp(int(t), UTC).isoformat() for t in (held.time.min(), held.time.max())]
    meta = {
        **{name: fingerprint.get(name) for name in ("source", "users", "items", "events")},
        "first": times[0],
        "last": times[1],
        "interests": interests.rule,
        "fingerprint": {k: v if isinstance(v, str | int | float | bool | None) else str(v) for k, v in fingerprint.items()},
        "settings": asdict(settings),
        "seed": settings.seed,
        "permutations": settings.permutations,
        "windows": settings.windows,
        "level": settings.level_of_test,
        "answered": len(answered),
        "sampled_for_flows": int(tables["flows"].filter(pl.col("step") == -1)["users"].to_numpy().max(initial=0)),
        "model": seen and type(seen.frozen.dynamics).__name__.lower(),
        "notes": notes(held, whole, interests, attention.likeness, people, settings),
        "dropped_events": len(whole.time) - len(held.time),
        "versions": package_versions(PACKAGES),
    }
    return Analysis(tables, meta)


_SEGMENTS = {"segment": "of", "segment_before": "before", "segment_after": "after"}


def _segment(found: Segments, of: str) -> pl.Series:
    index = getattr(found, of)
    return pl.Series([found.names[s] if s >= 0 else None for s in index], dtype=pl.String)


def parsed(date: str | None) -> int | None:
    """A date of ISO 8601 as unix seconds; one without a time zone is UTC.

    Raises:
        DataError: it is none.
    """
    if date is None:
        return None
    try:
        told = datetime.fromisoformat(date)
    except ValueError as err:
        raise DataError(f"--drift.at={date} is no date; write 2014-01-01.") from err
    return int((told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp())
