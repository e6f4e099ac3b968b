"""Run the sections of an analysis of drift and collect their tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from interestlab.data.event_store import EventStore
from interestlab.drift.context import Context
from interestlab.drift.interests import Interests
from interestlab.drift.limitations import list_limitations
from interestlab.drift.section import Section
from interestlab.drift.section_registry import load_sections, order_by_dependency
from interestlab.drift.session_log import SessionLog
from interestlab.drift.settings import Settings
from interestlab.errors import PluginError
from interestlab.inference.trajectory import ModelView
from interestlab.utils.versions import package_versions

PACKAGES = ("interestlab", "numpy", "polars", "scipy", "scikit-learn", "POT", "ruptures", "river")


@dataclass(frozen=True)
class Analysis:
    """The result of an analysis.

    Attributes:
        tables: frames by name; ``docs/drift.md`` describes their columns.
        meta: the data, the settings, the versions, and what the log cannot show.
        csv: names of the tables that are also written as CSV.
    """

    tables: Mapping[str, pl.DataFrame]
    meta: Mapping[str, Any]
    csv: frozenset[str] = frozenset()

    def write(self, folder: Path) -> None:
        """Write every table as Parquet, and ``meta.json``.

        Args:
            folder: created if it does not exist.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in self.tables.items():
            table.write_parquet(folder / f"{name}.parquet")
            if name in self.csv:
                table.write_csv(folder / f"{name}.csv")
        (folder / "meta.json").write_text(json.dumps(self.meta, indent=1, ensure_ascii=False), "utf-8")


def analyse(
    store: EventStore,
    log: SessionLog,
    interests: Interests,
    settings: Settings,
    fingerprint: Mapping[str, Any],
    model: ModelView | None = None,
    sections: Sequence[Section] | None = None,
) -> Analysis:
    """Analyse how the interests of all users of a log changed.

    Time grows with events x permutations; memory does not grow with the number of users, who are tested in blocks.

    Args:
        store: histories.
        log: the same events by session (:func:`interestlab.drift.session_log.build_session_log`).
        interests: interest of each item.
        settings: settings of the analysis.
        fingerprint: fingerprint of the data, for the report.
        model: a trained model of the same log, whose view is reported too.
        sections: the sections to compute; None: all.

    Returns:
        The tables of all sections.

    Raises:
        DataError: no event has an item with an interest, or ``settings.boundary`` is not a date.
        PluginError: a section computes tables that differ from their schema.
    """
    context = Context(store, log, interests, settings, model)
    csv: set[str] = set()
    for section in order_by_dependency(load_sections() if sections is None else sections):
        if section.applies(context):
            context.tables.update(compute_section(section, context))
            csv |= {name for name, table in section.tables.items() if table.csv}
    return Analysis(dict(context.tables), describe_analysis(context, fingerprint), frozenset(csv))


def compute_section(section: Section, context: Context) -> dict[str, pl.DataFrame]:
    """Compute the tables of one section and check them against their schemas.

    Args:
        section: the section.
        context: context of the analysis; needs the tables of the sections in ``section.after``.

    Returns:
        Frames by name.

    Raises:
        PluginError: tables or columns differ from what the section declares.
    """
    tables = section.compute(context)
    if set(tables) != set(section.tables):
        raise PluginError(f"the drift section {section.name} computes {sorted(tables)}, but declares {sorted(section.tables)}.")
    for name, table in tables.items():
        declared = section.tables[name].schema
        if table.schema != declared:
            wrong = (
                sorted(str(column) for column in set(table.schema.items()) ^ set(declared.items())) or "the order of columns"
            )
            raise PluginError(f"the table {name} of the drift section {section.name} differs from its schema: {wrong}.")
    return tables


def describe_analysis(context: Context, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what ``meta.json`` records.

    Args:
        context: after all sections were computed.
        fingerprint: fingerprint of the data.
    """
    log, settings, users = context.log, context.settings, context.table("users")
    first, last = (datetime.fromtimestamp(int(t), UTC).isoformat() for t in (log.time.min(), log.time.max()))
    flows = context.tables.get("flows")
    sampled = 0 if flows is None else int(flows.filter(pl.col("step") == -1)["users"].to_numpy().max(initial=0))
    return {
        **{name: fingerprint.get(name) for name in ("source", "users", "items", "events")},
        "first": first,
        "last": last,
        "interests": context.interests.rule,
        "fingerprint": {k: v if isinstance(v, str | int | float | bool | None) else str(v) for k, v in fingerprint.items()},
        "settings": asdict(settings),
        "seed": settings.seed,
        "permutations": settings.permutations,
        "windows": settings.windows,
        "significance_level": settings.significance_level,
        "answered": len(context.answered),
        "sampled_for_flows": sampled,
        "model": context.model and type(context.model.frozen.dynamics).__name__.lower(),
        "notes": list_limitations(context, users),
        "dropped_events": len(context.all_events.time) - len(log.time),
        "versions": package_versions(PACKAGES),
    }
