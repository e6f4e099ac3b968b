"""Audiences: users whose interests changed, as a list for a campaign."""

from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from interestlab.drift.context import Context
from interestlab.drift.report.tables import ReportTables
from interestlab.drift.section import NUMBER, TEXT, TIME, Column, Section, Table
from interestlab.drift.verdicts import CHANGED, EVOLVED, MIGRATED, VERDICTS

RECENT = 20
"""Last events of a user that determine the current interest and the preferred brand."""

EMBEDDED_ROWS = 10_000
"""Most rows that the page itself contains for download."""


class Audiences(Section):
    """Users with a change, with their current interest and preferred brand."""

    name = "audiences"
    title = "Audiences"
    order = 90
    after = ("users",)
    tables = {
        "audiences": Table(
            "user with a change",
            {
                "user_id": Column(TEXT, "id of the user"),
                "segment": Column(TEXT, "segment of the user"),
                "verdict": Column(TEXT, "migrated, evolved, or both"),
                "source": Column(TEXT, "interest with the largest fall; null if the user only evolved"),
                "destination": Column(TEXT, "interest with the largest rise; null if the user only evolved"),
                "evolved_in": Column(TEXT, "interest that evolved most; null if the user only migrated"),
                "interest_now": Column(TEXT, "most frequent interest of the last 20 events"),
                "brand": Column(TEXT, "most frequent brand of the last 20 events"),
                "last": Column(TIME, "last event"),
                "q_migration": Column(NUMBER, "corrected p-value of the migration"),
                "q_evolution": Column(NUMBER, "corrected p-value of the evolution"),
            },
            csv=True,
        )
    }
    docs = """
Every user whose interests changed, with segment, current interest and preferred brand. `audiences.csv` holds the same rows, and
the page offers them for download by verdict and destination.
"""
    template = """
<p>One row per user: <a href="audiences.csv">audiences.csv</a>, in the folder of this page.
{% if rows %}The page itself contains {{ "the first " ~ formats.integer(embedded) ~ " of " if embedded < rows }}
{{- formats.integer(rows) }} of its users with enough evidence.
<button type="button" class="save" hidden data-name="audience">Download them as CSV</button>{% endif %}</p>
{% if audiences %}
<div class="scroll tall" tabindex="0" role="region" aria-label="Audiences">
<table class="sortable">
<caption>By verdict and destination. A verdict is one of many tests: at most {{ "%g%%" | format(100 * level) }} of the users reported
as changed are expected not to have changed.</caption>
{{ heads("verdict", "destination", "#users", "~download") }}
<tbody>
{% for a in audiences %}
<tr><td>{{ a.verdict }}</td><td>{{ labels.text(a.destination) }}</td>{{ num(a.users, formats.integer(a.users)) }}
<td><button type="button" class="save" hidden data-name="audience-{{ loop.index }}" data-verdict="{{ a.verdict }}"
data-destination="{{ a.destination or "" }}"
aria-label="Download {{ a.verdict }}, {{ labels.text(a.destination) }}, as CSV">CSV</button></td></tr>
{% endfor %}
</tbody>
</table>
</div>
{% else %}
<p class="none">No user has enough evidence to be in an audience by verdict.</p>
{% endif %}
<script type="application/json" id="json-audience">{{ json }}</script>
"""

    def compute(self, context: Context) -> dict[str, pl.DataFrame]:
        return {"audiences": list_audience(context)}

    def variables(self, report: ReportTables) -> dict[str, Any]:
        from markupsafe import Markup

        from interestlab.reporting.page import script_json

        table, rank = report["audiences"], {name: i for i, name in enumerate(VERDICTS)}
        order = pl.col("verdict").replace_strict(rank, default=len(rank), return_dtype=pl.Int64)
        counts = table.group_by("verdict", "destination").len("users")
        counts = counts.sort(order, -pl.col("users").cast(pl.Int64), "destination", nulls_last=True)
        rows = table.sort(order, pl.min_horizontal(cs.starts_with("q_")), "user_id", nulls_last=True).head(EMBEDDED_ROWS)
        formatted = rows.with_columns(cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S"), cs.float().round_sig_figs(4))
        content = {"columns": table.columns, "rows": [list(row) for row in formatted.iter_rows()]}
        return {
            "audiences": counts.to_dicts(),
            "json": Markup(script_json(content)),
            "embedded": min(EMBEDDED_ROWS, table.height),
            "rows": table.height,
        }


def list_audience(context: Context) -> pl.DataFrame:
    """List the users whose interests changed.

    The largest change of a user is noise if it is not significant: users who only evolved have no source and destination, and
    users who only migrated have no ``evolved_in``.

    Args:
        context: after the table of users was computed.

    Returns:
        One row per user with a change.
    """
    log, interests, (brand, brands) = context.log, context.interests, context.brands
    position = np.arange(len(log.time)) - log.offsets[log.user]
    recent = position >= (np.diff(log.offsets) - RECENT)[log.user]
    current = most_frequent_label(log.user[recent], interests.item_interest[log.item[recent]], len(log.users))
    branded = recent & (brand[log.item] >= 0)
    preferred = most_frequent_label(log.user[branded], brand[log.item[branded]], len(log.users))
    interest_names, brand_names = [*interests.names, None], [*brands, None]  # an index of -1 is the last
    return (
        context.table("users")
        .with_columns(
            interest_now=pl.Series([interest_names[k] for k in current], dtype=pl.String),
            brand=pl.Series([brand_names[b] for b in preferred], dtype=pl.String),
        )
        .filter(pl.col("verdict").is_in(CHANGED))
        .with_columns(
            pl.when(pl.col("verdict") != EVOLVED).then(pl.col("source", "destination")),
            pl.when(pl.col("verdict") != MIGRATED).then("evolved_in").alias("evolved_in"),
        )
        .select(list(Audiences.tables["audiences"].columns))
        .sort("verdict", "destination", "evolved_in", "q_migration", "q_evolution", "user_id", nulls_last=True)
    )


def most_frequent_label(user: np.ndarray, label: np.ndarray, users: int) -> np.ndarray:
    """Find the most frequent label of each user; the lowest of equally frequent ones.

    Args:
        user: ``[E]`` user of each event.
        label: ``[E]`` label of each event, not negative.
        users: number of users.

    Returns:
        ``[U]`` label; -1 for a user without events.
    """
    out = np.full(users, -1)
    if len(user):
        labels = int(label.max()) + 1
        keys, counts = np.unique(user * labels + label, return_counts=True)
        order = np.lexsort((keys, -counts, keys // labels))
        who, first = np.unique(keys[order] // labels, return_index=True)
        out[who] = keys[order][first] % labels
    return out


section = Audiences()
