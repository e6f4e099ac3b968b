"""One analysis of drift: a store and its interests -> tables."""

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
from interestlab.drift.changes import label_sessions
from interestlab.drift.changes.table import changed, examples
from interestlab.drift.flow_table import flow_table
from interestlab.drift.interests import Interests
from interestlab.drift.landscape import landscape
from interestlab.drift.limitations import list_limitations
from interestlab.drift.model.table import model_view
from interestlab.drift.model.trajectory import ModelView
from interestlab.drift.population import calendar_edges, catalogue_shift, shares_over_time, trends
from interestlab.drift.profiles import audiences, rank_brands, segment_table
from interestlab.drift.segmentation import Segmentation, cluster_users, moves_table
from interestlab.drift.session_log import build_session_log
from interestlab.drift.settings import Settings
from interestlab.drift.shares import InterestShares, half_the_sessions, sessions_since
from interestlab.drift.users import users
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE
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
    store: EventStore, interests: Interests, settings: Settings, fingerprint: Mapping[str, Any], seen: ModelView | None = None
) -> Analysis:
    """Analyse the drift of everyone in a store.

    Costs events x permutations in time; users are tested :data:`interestlab.drift.users.BLOCK` at a time.

    Args:
        store: the histories.
        interests: of its items.
        settings: what counts as what.
        fingerprint: of the data, for the report.
        seen: a trained model, whose own view is told too.

    Raises:
        DataError: no event is of an item that has an interest, or the date of ``at`` is none.
    """
    whole = build_session_log(store, settings.session_gap)
    held = whole.only(interests.of[whole.item] >= 0)
    if not len(held.time):
        raise DataError("no event is of an item that has an interest; choose others with --drift.interests.")
    moment = parse_date(settings.at)
    shares = InterestShares(held, interests, half_the_sessions(held) if moment is None else sessions_since(held, moment))
    edges = calendar_edges(held, settings.windows)
    ratio = catalogue_shift(shares, edges)
    rng = np.random.default_rng([settings.seed, 1])

    people = users(shares, ratio, settings)
    answered = np.flatnonzero((people["verdict"] != INSUFFICIENT_EVIDENCE).to_numpy())
    found = cluster_users(shares, ratio, settings.segments, settings.permutations, rng, settings.seed)
    people = people.with_columns(_segment(found, of).alias(name) for name, of in _SEGMENTS.items())
    brand, brands = rank_brands(held)
    changes = changed(store, held, interests, answered, settings)
    shown = examples(changes, people, settings.examples)
    labels = label_sessions(held, interests)[1]
    halfway = int(np.median(held.time))
    kinds = [("interest", held, interests.of[held.item], interests.names)]
    if brands:
        branded = held.only(brand[held.item] >= 0)
        kinds.append(("brand", branded, brand[branded.item], brands))
    tables = {
        "users": people,
        "shares": pl.concat(shares_over_time(of, label, names, edges, kind) for kind, of, label, names in kinds),
        "trends": pl.concat(
            trends(of, label, names, halfway, kind, settings.significance_level) for kind, of, label, names in kinds
        ),
        "flows": flow_table(shares, ratio, edges, settings, rng),
        "changes": changes,
        "segments": segment_table(shares, found, people, brand, brands),
        "moves": moves_table(found),
        "audiences": audiences(held, interests, people, brand, brands),
        "map": landscape(held, interests, edges, people, settings.examples),
        "timelines": timelines.sessions(store, held, labels, interests.names, shown, changes),
    }
    if seen is not None:
        tables["model"] = model_view(seen, shares, answered)
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
        "level": settings.significance_level,
        "answered": len(answered),
        "sampled_for_flows": int(tables["flows"].filter(pl.col("step") == -1)["users"].to_numpy().max(initial=0)),
        "model": seen and type(seen.frozen.dynamics).__name__.lower(),
        "notes": list_limitations(held, whole, interests, shares.intraclass_correlation, people, settings),
        "dropped_events": len(whole.time) - len(held.time),
        "versions": package_versions(PACKAGES),
    }
    return Analysis(tables, meta)


_SEGMENTS = {"segment": "of", "segment_before": "before", "segment_after": "after"}


def _segment(found: Segmentation, of: str) -> pl.Series:
    index = getattr(found, of)
    return pl.Series([found.names[s] if s >= 0 else None for s in index], dtype=pl.String)


def parse_date(date: str | None) -> int | None:
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
