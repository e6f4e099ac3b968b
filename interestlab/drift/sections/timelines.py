"""Timelines: the sessions of some users along time, with their change-points."""

from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from interestlab.drift.context import Context
from interestlab.drift.population import to_datetimes
from interestlab.drift.report.tables import ReportTables
from interestlab.drift.section import FLAG, INTEGER, TEXT, TIME, Column, Section, Table
from interestlab.drift.surroundings import item_titles
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

UNKNOWN_INTEREST = "no interest known"

PNG_USERS = 6
"""Users in the PNG."""


class Timelines(Section):
    """Sessions of example users, and the change-points of the table ``changes``."""

    name = "timelines"
    title = "When users changed"
    label = "Change-points"
    order = 55
    after = ("users", "changes")
    tables = {
        "timelines": Table(
            "session of an example user",
            {
                "user_id": Column(TEXT, "id of the user"),
                "session": Column(INTEGER, "number of the session, from 0"),
                "at": Column(TIME, "first event of the session"),
                "interest": Column(TEXT, "main interest of the session"),
                "title": Column(TEXT, "item of its first event"),
                "event": Column(TEXT, "type of its first event"),
                "change": Column(FLAG, "whether a change-point precedes the session"),
            },
        )
    }
    docs = """
The sessions of `--drift.example_users` users: those with a change-point, the strongest evidence first, then those with the strongest
evidence of migration or evolution. They are examples, not a sample.
"""
    template = """
{% if timelines %}
<p>Sessions along time, one lane per interest. Solid line: a change-point found <em>offline</em>, from the full history. Dotted line:
the moment at which the <em>online</em> detector reports it, from the past alone. These users were chosen as examples; they are not a
sample.{% if "timelines.png" in images %} <a href="plots/timelines.png">As PNG</a>{% endif %}</p>
{% for person in timelines %}
<section class="person">
<h3>{{ person.user.user_id }} <span class="pill">{{ person.user.verdict }}</span>
<small>{{ labels.plural(person.user.events, "event") }} in {{ labels.plural(person.user.sessions, "session") }};
migration p {{ formats.p_value(person.user.p_migration) }}, q {{ formats.p_value(person.user.q_migration) }}</small></h3>
{% call figure(person.figure, "Sessions of user " ~ person.user.user_id ~ " by interest along time, with change-points") %}
{% endcall %}
{% for same in person.changes %}
{% set change = same[0] %}
<div class="turn">
<p><strong>{{ formats.date(change.at) }}</strong>: {{ labels.transition(change.source, change.destination) }}
<span class="quiet">{% for c in same %}· {{ c.method }}{% if c.method == "online" %} (reported on {{ formats.date(c.seen_at) }})
{%- endif %}, before session {{ c.session + 1 }} of {{ c.sessions }},
{% if c.p is none %}no p-value{% else %}p {{ formats.p_value(c.p) }}{% endif %} {% endfor %}</span></p>
{% for title, items, words in [("Before", change.items_before, change.words_before),
("After", change.items_after, change.words_after)] %}
<div>
<h4>{{ title }}</h4>
<ul>{% for item in items or [] %}<li>{{ item }}</li>{% else %}<li class="quiet">no titles known</li>{% endfor %}</ul>
{% if words %}<p class="words">{{ labels.joined(words) }}</p>{% endif %}
</div>
{% endfor %}
</div>
{% else %}
<p class="quiet">No change-point found.</p>
{% endfor %}
</section>
{% endfor %}
{% else %}
<p class="none">No user has enough evidence for a timeline, or none was requested.</p>
{% endif %}
"""

    def compute(self, context: Context) -> dict[str, pl.DataFrame]:
        users = choose_examples(context.table("changes"), context.table("users"), context.settings.example_users)
        return {"timelines": list_sessions(context, users)}

    def figures(self, report: ReportTables) -> "dict[str, go.Figure | None]":
        return {f"timeline_{i}": draw_interactive(report, user) for i, user in enumerate(example_users(report))}

    def images(self, report: ReportTables) -> "dict[str, Figure | None]":
        return {"timelines": draw_image(report)}

    def variables(self, report: ReportTables) -> dict[str, Any]:
        people = []
        for i, user in enumerate(example_users(report)):
            changes = report["changes"].filter(pl.col("user_id") == user).sort("at", "method").to_dicts()
            row = report["users"].row(by_predicate=pl.col("user_id") == user, named=True)
            same = [list(group) for _, group in groupby(changes, _what_changed)]
            people.append({"figure": f"timeline_{i}", "user": row, "changes": same})
        return {"timelines": people}


def choose_examples(changes: pl.DataFrame, users: pl.DataFrame, count: int) -> np.ndarray:
    """Choose the users whose history is shown: those with a change-point first, each group by the strongest evidence.

    Args:
        changes: the table of changes.
        users: the table of users.
        count: number of users.

    Returns:
        ``[n]`` int64 indices, ascending.
    """
    points = changes.group_by("user_id").agg(pl.col("p").min().alias("point"))
    ranked = (
        users.select("user_id", "verdict", pl.col("q_migration", "p_evolution").fill_null(1.0))
        .with_row_index()
        .join(points, on="user_id", how="left", maintain_order="left")
        .filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
        .sort(pl.col("point").is_null(), "q_migration", "p_evolution", "index")
    )
    return np.sort(ranked["index"].head(count).to_numpy().astype(np.int64))


def list_sessions(context: Context, users: np.ndarray) -> pl.DataFrame:
    """List the sessions of some users, each by its first event.

    Args:
        context: after the table of changes was computed.
        users: ``[n]`` indices.

    Returns:
        One row per session.
    """
    log, names = context.log, context.interests.names
    offsets = log.session_offsets
    chosen = np.concatenate([np.arange(offsets[u], offsets[u + 1]) for u in users]) if len(users) else np.empty(0, np.int64)
    first = log.session_starts[chosen]
    user, titles = log.user[first], item_titles(log.items)
    types = context.store.events.select(pl.col("event").gather(pl.Series(log.event_index[first]))).collect().to_series()
    table = pl.DataFrame(
        {
            "user_id": log.users.gather(user.tolist()),
            "session": chosen - offsets[user],
            "at": to_datetimes(log.time[first]),
            "interest": [names[k] for k in context.session_labels.labels[chosen]],
            "title": [titles[i] for i in log.item[first]],
            "event": types,
        },
        schema_overrides={"interest": pl.String, "title": pl.String},
    )
    marks = context.table("changes").select("user_id", "session").unique().with_columns(change=True)
    return table.join(marks, on=["user_id", "session"], how="left", maintain_order="left").with_columns(
        pl.col("change").fill_null(False)
    )


def _what_changed(change: dict[str, Any]) -> list[Any]:
    """What is equal if two methods find the same change, which the page then describes once."""
    columns = ("at", "source", "destination", "items_before", "items_after", "words_before", "words_after")
    return [change[name] for name in columns]


def example_users(report: ReportTables) -> list[str]:
    """Return the ids of the users with a timeline, in the order of the table.

    Args:
        report: tables that may be shown.
    """
    return report["timelines"]["user_id"].unique(maintain_order=True).to_list()


def sessions_of(report: ReportTables, user: str) -> pl.DataFrame:
    """Return the timeline of a user in order of time.

    Args:
        report: tables that may be shown.
        user: id of the user.

    Returns:
        Rows of the table of timelines, with a name for a missing interest.
    """
    rows = report["timelines"].filter(pl.col("user_id") == user)
    return rows.with_columns(pl.col("interest").fill_null(UNKNOWN_INTEREST)).sort("at", maintain_order=True)


def drawn_at(change: dict[str, Any]) -> datetime:
    """Return where a change-point is drawn: at the change if found offline, at its detection if online.

    Args:
        change: a row of the table of changes.
    """
    return change["at"] if change["method"] == "offline" else change["seen_at"]


def draw_interactive(report: ReportTables, user: str) -> "go.Figure":
    """Draw one user's sessions along time, one lane per interest; change-points are vertical lines.

    Args:
        report: tables that may be shown.
        user: id of the user.
    """
    import plotly.graph_objects as go

    from interestlab.reporting import labels
    from interestlab.reporting.colours import DEFAULT_STYLE, RED, assign_styles
    from interestlab.reporting.labels import escape
    from interestlab.reporting.plotly_figures import create_figure

    sessions = sessions_of(report, user)
    lanes = sessions["interest"].unique(maintain_order=True).to_list()
    styles = assign_styles(report.interests)
    traces = []
    for y, lane in enumerate(lanes):
        rows = sessions.filter(pl.col("interest") == lane).to_dicts()
        style = styles.get(lane, DEFAULT_STYLE)
        look = {"color": style.colour, "symbol": style.symbol, "size": 9, "opacity": 0.75}
        hover = [
            f"{row['at']:%Y-%m-%d %H:%M}, session {row['session'] + 1}, {escape(labels.text(row['event']))}<br>"
            f"<b>{escape(labels.text(row['title']), 60)}</b><br>{escape(lane)}"
            for row in rows
        ]
        text = {"customdata": hover, "hovertemplate": "%{customdata}<extra></extra>", "showlegend": False}
        times = [f"{row['at']:%Y-%m-%d %H:%M:%S}" for row in rows]
        traces.append(go.Scatter(x=times, y=[y] * len(rows), mode="markers", marker=look, **text))
    lines = []
    for change in report["changes"].filter(pl.col("user_id") == user).iter_rows(named=True):
        at = f"{drawn_at(change):%Y-%m-%d %H:%M:%S}"
        dash = "solid" if change["method"] == "offline" else "dot"
        line = {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1}
        lines.append(line | {"line": {"color": RED, "width": 2, "dash": dash}})
    ticks = {"tickvals": list(range(len(lanes))), "ticktext": [escape(lane, 24) for lane in lanes]}
    axis = ticks | {"range": [len(lanes) - 0.4, -0.6], "fixedrange": True}
    margin = {"l": 10, "r": 10, "t": 8, "b": 10}
    return create_figure(traces, 70 + 26 * len(lanes), yaxis=axis, xaxis={"type": "date"}, shapes=lines, margin=margin)


def draw_image(report: ReportTables) -> "Figure | None":
    """Draw the timelines of the first users for a PNG.

    Args:
        report: tables that may be shown.
    """
    from interestlab.drift.report.image_style import CAPTION, MARKERS, format_dates, without_time_zone
    from interestlab.reporting.colours import DEFAULT_STYLE, RED, assign_styles
    from interestlab.reporting.labels import clip
    from interestlab.reporting.matplotlib_figures import create_figure

    users = example_users(report)[:PNG_USERS]
    if not users:
        return None
    styles = assign_styles(report.interests)
    sessions = [sessions_of(report, user) for user in users]
    lanes = [rows["interest"].unique(maintain_order=True).to_list() for rows in sessions]
    heights = [0.55 + 0.19 * len(names) for names in lanes]
    figure, _ = create_figure(0.4 + sum(heights))
    figure.clear()
    panels = figure.subplots(len(users), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, user, rows, names in zip(panels, users, sessions, lanes, strict=True):
        for y, lane in enumerate(names):
            style = styles.get(lane, DEFAULT_STYLE)
            at = rows.filter(pl.col("interest") == lane).select(without_time_zone(pl.col("at"))).to_series().to_numpy()
            panel.plot(at, [y] * len(at), MARKERS[style.symbol], color=style.colour, ms=4, alpha=0.75, mew=0)
        for change in report["changes"].filter(pl.col("user_id") == user).iter_rows(named=True):
            line = "-" if change["method"] == "offline" else ":"
            panel.axvline(drawn_at(change).replace(tzinfo=None), color=RED, ls=line, lw=1.5)
        panel.set_yticks(range(len(names)), [clip(name, 22) for name in names], fontsize=7)
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.set_title(clip(user, 40), fontsize=8)
        panel.tick_params(length=0, labelsize=7)
        panel.grid(False, axis="x")
        format_dates(panel)
    figure.supxlabel("solid line: change-point found offline · dotted: when the online detector reports it", **CAPTION)
    return figure


section = Timelines()
