"""What the page tells in words and tables, ready for its template."""

from itertools import groupby
from typing import Any

import polars as pl
import polars.selectors as cs
from markupsafe import Markup

from interestlab.drift.report.look import VERDICT_COLOURS
from interestlab.drift.report.reading import Tables
from interestlab.drift.report.selection import EMBEDDED, MAPPED, TABLED, UNMOVED, chosen, emerging_or_fading, surest
from interestlab.drift.report.streams import EACH, diagram
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE, VERDICTS
from interestlab.reporting.colours import PALE, assign_styles
from interestlab.reporting.page import flatten, script_json

NOT_FOUND = 30
"""At most so many names that neither emerge nor fade are listed."""
MODELLED = 20
"""Users of whom the model's own view is told."""


def pieces(tables: Tables) -> dict[str, Any]:
    """The variables of the template, but for the figures."""
    changed = surest(tables)
    return {
        "meta": tables.meta,
        "level": tables.level,
        "counts": tables.counts,
        "verdicts": verdicts(tables),
        "users": changed.head(TABLED).to_dicts(),
        "changed": changed.height,
        "streams": {"flows": diagram(tables, True), "flows_windows": diagram(tables, False)},
        "least_q": least(tables.flows, "q"),
        "each_most": EACH,
        "trends": {kind: trends(tables, kind) for kind in ("interest", "brand") if kind in tables.trends["kind"]},
        "not_found_most": NOT_FOUND,
        "interests": tables.interests,
        "marks": assign_styles(tables.interests),
        "timelines": timelines(tables),
        "segments": tables.segments.to_dicts(),
        "moves": tables.moves.sort("q", "source", "destination", nulls_last=True).to_dicts(),
        "mapped_most": (MAPPED, UNMOVED),
        "model": model(tables),
        "audiences": audiences(tables),
        "audience": Markup(script_json({"columns": tables.audiences.columns, "rows": embedded(tables)})),
        "embedded": min(EMBEDDED, tables.audiences.height),
        "audience_rows": tables.audiences.height,
        "fingerprint": flatten(tables.meta.get("fingerprint") or {}),
        "settings": flatten(tables.meta.get("settings") or {}),
        "versions": flatten(tables.meta.get("versions") or {}),
    }


def verdicts(tables: Tables) -> list[dict[str, Any]]:
    """Users by verdict, for the bar below the heading."""
    whole = max(1, sum(tables.counts.values()))
    colours = VERDICT_COLOURS | {INSUFFICIENT_EVIDENCE: PALE}
    return [
        {"name": name, "users": users, "share": users / whole, "colour": colours[name]} for name, users in tables.counts.items()
    ]


def least(frame: pl.DataFrame, column: str) -> float | None:
    """The least value of a column."""
    value = frame[column].min()
    return value if isinstance(value, float) else None


def trends(tables: Tables, kind: str) -> dict[str, Any]:
    """What emerges and fades, and the rest; with the largest change, to which the bars are drawn."""
    mine = tables.trends.filter(pl.col("kind") == kind)
    hit = emerging_or_fading(tables)
    found = mine.filter(hit).sort("change", "name", descending=[True, False])
    rest = mine.filter(~hit).sort("q", "name", nulls_last=True)
    largest = mine.select(pl.col("change").abs().max()).item() or 1.0
    return {"found": found.to_dicts(), "rest": rest.head(NOT_FOUND).to_dicts(), "not_found": rest.height, "largest": largest}


def timelines(tables: Tables) -> list[dict[str, Any]]:
    """Each chosen user with the change-points below the timeline."""
    out = []
    for i, user in enumerate(chosen(tables)):
        mine = tables.changes.filter(pl.col("user_id") == user).sort("at", "method").to_dicts()
        row = tables.users.row(by_predicate=pl.col("user_id") == user, named=True)
        out.append({"figure": f"timeline_{i}", "user": row, "changes": [list(same) for _, same in groupby(mine, sides)]})
    return out


def sides(change: dict[str, Any]) -> list[Any]:
    """What two methods agree on where they found the same change: it is told once."""
    named = ("at", "source", "destination", "items_before", "items_after", "words_before", "words_after")
    return [change[name] for name in named]


def model(tables: Tables) -> list[dict[str, Any]]:
    """Users by how far the model says that they moved, beside what was counted of them."""
    if tables.model is None:
        return []
    counted = tables.users.select("user_id", "verdict", "events", "q_migration", counted_tv="tv")
    both = tables.model.join(counted, on="user_id", maintain_order="left")
    return both.sort("tv", "user_id", descending=[True, False]).head(MODELLED).to_dicts()


def audiences(tables: Tables) -> list[dict[str, Any]]:
    """Counts of users by verdict and destination, the largest first."""
    counted = tables.audiences.group_by("verdict", "destination").len("users")
    order = {name: i for i, name in enumerate(VERDICTS)}
    place = pl.col("verdict").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    return counted.sort(place, -pl.col("users").cast(pl.Int64), "destination", nulls_last=True).to_dicts()


def embedded(tables: Tables) -> list[list[Any]]:
    """The rows that the page itself holds: those that changed first."""
    order = {name: i for i, name in enumerate(VERDICTS)}
    place = pl.col("verdict").replace_strict(order, default=len(order), return_dtype=pl.Int64)
    surest = pl.min_horizontal(cs.starts_with("q_"))
    held = tables.audiences.sort(place, surest, "user_id", nulls_last=True).head(EMBEDDED)
    written = cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S"), cs.float().round_sig_figs(4)
    return [list(row) for row in held.with_columns(*written).iter_rows()]
