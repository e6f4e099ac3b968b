"""Trends: which interests and brands emerge and which fade, from the first half of the log to the second."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy import stats

from interestlab.drift.context import Context, LabelledEvents
from interestlab.drift.population import user_shares
from interestlab.drift.report.tables import ReportTables
from interestlab.drift.section import INTEGER, NUMBER, TEXT, Column, Section, Table
from interestlab.stats.multiple_testing import benjamini_hochberg

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_USERS = 30
"""Trends are tested only if both halves of the log have at least this many users."""

LISTED, DRAWN = 30, 24
"""Most names without a trend that the page lists, and most trends in the PNG."""


class Trends(Section):
    """Changes of mean shares between the two halves of the log."""

    name = "trends"
    title = "Emerging and fading"
    order = 30
    tables = {
        "trends": Table(
            "interest or brand",
            {
                "kind": Column(TEXT, "`interest` or `brand`"),
                "name": Column(TEXT, "name of the interest or brand"),
                "share_early": Column(NUMBER, "mean share over the users of the first half of the events"),
                "share_late": Column(NUMBER, "mean share over the users of the second half"),
                "change": Column(NUMBER, "their difference"),
                "p": Column(NUMBER, "p-value of the change, Student's test over users"),
                "q": Column(NUMBER, "the same after correction over all names of the kind"),
                "users_early": Column(INTEGER, "users of the first half"),
                "users_late": Column(INTEGER, "users of the second half"),
                "verdict": Column(TEXT, "`emerging`, `fading`, or empty"),
            },
        )
    }
    docs = """
The mean share over users in the first half of the events is compared with that in the second by Student's test over users, with a
pooled variance and correction over all interests, or all brands. Users of both halves count in both, which makes the test
conservative if their halves are similar.
"""
    template = """
{% macro trend(kind, rows, caption, largest) %}
<div class="scroll">
<table class="sortable">
<caption>{{ caption }}</caption>
{{ heads(kind, "verdict", "#first half", "#second half", "#change, points", "~fading · emerging", "#p", "#q", "#users, halves") }}
<tbody>
{% for row in rows %}
<tr><th scope="row">{{ row.name }}</th><td>{{ row.verdict or "–" }}</td>{{ num(row.share_early, formats.percent(row.share_early)) }}
{{ num(row.share_late, formats.percent(row.share_late)) }}{{ num(row.change, formats.percentage_points(row.change)) }}
<td class="change" data-v="{{ "" if row.change is none else "%.6g" | format(row.change) }}">{% if row.change is not none %}<span>
<i class="{{ "fading" if row.change < 0 }}" style="width: {{ "%.1f" | format(50 * (row.change | abs) / largest) }}%"></i>
</span>{% endif %}</td>
{{ num(row.p, formats.p_value(row.p)) }}{{ num(row.q, formats.p_value(row.q)) }}
{{ num(row.users_late, formats.integer(row.users_early) ~ " → " ~ formats.integer(row.users_late)) }}</tr>
{% endfor %}
</tbody>
</table>
</div>
{% endmacro %}
{% for kind, part in trends.items() %}
<h3>{{ {"interest": "Interests", "brand": "Brands"}[kind] }}</h3>
{% if part.significant %}
{{ trend(kind, part.significant, "Mean share over the users of the first half of the log, and of the second; q ≤ "
~ "%g" | format(level) ~ ".", part.largest) }}
{% else %}
<p class="none">No {{ kind }} emerges or fades beyond chance; {{ formats.integer(part.others) }}
{{ "was" if part.others == 1 else "were" }} tested.</p>
{% endif %}
{% if part.others %}
<details>
<summary>{{ formats.integer(part.others) }} without a significant change</summary>
{{ trend(kind, part.rest, ("The first " ~ listed ~ ", by q.") if part.others > listed else "By q.", part.largest) }}
</details>
{% endif %}
{% else %}
<p class="none">No change of shares was tested.</p>
{% endfor %}
{% if "trends.png" in images %}
<p class="quiet"><a href="plots/trends.png">As PNG</a></p>
{% endif %}
"""

    def compute(self, context: Context) -> dict[str, pl.DataFrame]:
        middle, level = int(np.median(context.log.time)), context.settings.significance_level
        return {"trends": pl.concat(measure_trends(events, middle, level) for events in context.labelled_events)}

    def images(self, report: ReportTables) -> "dict[str, Figure | None]":
        return {"trends": draw_image(report)}

    def variables(self, report: ReportTables) -> dict[str, Any]:
        kinds = [kind for kind in ("interest", "brand") if kind in report["trends"]["kind"]]
        return {"trends": {kind: _divide(report, kind) for kind in kinds}, "listed": LISTED}


def measure_trends(events: LabelledEvents, middle: int, level: float) -> pl.DataFrame:
    """Test which labels have another mean share after a time than before.

    The variance is that of both halves together, since a label that does not occur in one half has no variance there.

    Args:
        events: events with their labels.
        middle: that time, unix seconds.
        level: q-value up to which a change is called emerging or fading.

    Returns:
        One row per label; no p-values if a half has fewer than :data:`MIN_USERS` users.
    """
    log, count = events.log, len(events.names)
    late = (log.time >= middle).astype(np.int64)
    users = np.bincount(np.unique(log.user * 2 + late) % 2, minlength=2)
    half, label, share = user_shares(log.user, late, events.label, count)
    total = np.bincount(half * count + label, weights=share, minlength=2 * count).reshape(2, count)
    square = np.bincount(label, weights=share**2, minlength=count)
    mean = total / np.maximum(users, 1)[:, None]
    variance = np.maximum(square - (mean**2 * users[:, None]).sum(0), 0) / max(users.sum() - 2, 1)
    change, error = mean[1] - mean[0], np.sqrt(variance * (1 / np.maximum(users, 1)).sum())
    p = 2 * stats.t.sf(np.abs(change) / np.maximum(error, 1e-9), max(users.sum() - 2, 1))
    if users.min() < MIN_USERS:
        p = np.full(count, np.nan)
    q = benjamini_hochberg(p)
    verdict = np.where(q <= level, np.where(change > 0, "emerging", "fading"), "")
    return pl.DataFrame(
        {
            "kind": [events.kind] * count,
            "name": events.names,
            "share_early": mean[0],
            "share_late": mean[1],
            "change": change,
            "p": p,
            "q": q,
            "users_early": [int(users[0])] * count,
            "users_late": [int(users[1])] * count,
            "verdict": verdict.tolist(),
        },
        schema_overrides={"name": pl.String, "verdict": pl.String},
    ).with_columns(pl.col("p", "q").fill_nan(None))


def is_significant(report: ReportTables) -> pl.Expr:
    """Return a Polars expression that selects the significant rows of the trends.

    Args:
        report: tables of the report.
    """
    tested = (pl.col("verdict").fill_null("") != "") & pl.col("change").is_not_null()
    return tested & (pl.col("q") <= report.level).fill_null(False)


def _divide(report: ReportTables, kind: str) -> dict[str, Any]:
    """Divide the trends of a kind into significant ones and the rest; ``largest`` is the change of the longest bar."""
    table, significant = report["trends"].filter(pl.col("kind") == kind), is_significant(report)
    shown = table.filter(significant).sort("change", "name", descending=[True, False])
    rest = table.filter(~significant).sort("q", "name", nulls_last=True)
    largest = table.select(pl.col("change").abs().max()).item() or 1.0
    return {"significant": shown.to_dicts(), "rest": rest.head(LISTED).to_dicts(), "others": rest.height, "largest": largest}


def draw_image(report: ReportTables) -> "Figure | None":
    """Draw the significant changes as bars.

    Args:
        report: tables that may be shown.
    """
    from interestlab.reporting.colours import BLUE, GREY, RED
    from interestlab.reporting.labels import clip
    from interestlab.reporting.matplotlib_figures import create_figure, height_of_rows
    from interestlab.reporting.number_formats import p_value

    table = report["trends"].filter(is_significant(report)).sort("q", "name").head(DRAWN)
    if table.is_empty():
        return None
    rows = table.sort("change", "name", descending=[True, False]).to_dicts()
    figure, [panel] = create_figure(height_of_rows(len(rows)), 1, [f"{clip(row['name'])} ({row['kind']})" for row in rows])
    values = [100 * row["change"] for row in rows]
    panel.barh(range(len(rows)), values, height=0.6, color=[BLUE if value > 0 else RED for value in values])
    labels = [f"q {p_value(row['q'])}, {row['users_early']:,} → {row['users_late']:,} users" for row in rows]
    for y, (value, label) in enumerate(zip(values, labels, strict=True)):  # on the side opposite the bar
        offset, side = (-4, "right") if value > 0 else (4, "left")
        panel.annotate(label, (0, y), (offset, 0), textcoords="offset points", ha=side, va="center", fontsize=7.5)
    panel.axvline(0, color=GREY, lw=0.8)
    limit = 1.1 * max(map(abs, values))
    panel.set_xlim(-limit, limit)
    panel.grid(False, axis="y")
    panel.set_xlabel("change of share, percentage points")
    return figure


section = Trends()
