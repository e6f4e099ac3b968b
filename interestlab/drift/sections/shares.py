"""Shares over time: the mean share of every interest and brand in each calendar window."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from interestlab.drift.context import Context, LabelledEvents
from interestlab.drift.population import to_datetimes, user_shares, window_of
from interestlab.drift.report.tables import ReportTables
from interestlab.drift.section import INTEGER, NUMBER, TEXT, TIME, Column, Section, Table

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

KINDS = ("interest", "brand")


class Shares(Section):
    """Mean shares by calendar window."""

    name = "shares"
    title = "Shares over time"
    order = 20
    tables = {
        "shares": Table(
            "interest or brand and calendar window",
            {
                "kind": Column(TEXT, "`interest` or `brand`"),
                "name": Column(TEXT, "name of the interest or brand"),
                "window": Column(INTEGER, "number of the calendar window, from 0"),
                "start": Column(TIME, "start of the window"),
                "end": Column(TIME, "end of the window"),
                "share": Column(NUMBER, "mean share over the users of the window"),
                "low": Column(NUMBER, "lower end of the 95% interval over users"),
                "high": Column(NUMBER, "upper end of the interval"),
                "users": Column(INTEGER, "users of the window"),
                "events": Column(INTEGER, "events of the interest or brand in the window"),
            },
        )
    }
    docs = """
The time of the log is divided into `--drift.windows` calendar windows of equal length. The share of an interest or brand in a
window is the mean over the users of that window, each counted once, with a 95% interval over users.
"""
    template = """
{% for kind, title in [("interest", "Interests"), ("brand", "Brands")] if "shares_" ~ kind in figures %}
<h3>{{ title }}</h3>
{% call figure("shares_" ~ kind, title ~ ": share of events in each window, with 95% intervals", "shares_" ~ kind ~ ".png",
bar=true) %}
Mean over users, with a 95% interval over users; point at a window for its users and events. Click a name to show or hide it,
double-click to show it alone.{% endcall %}
{% else %}
<p class="none">No shares were measured.</p>
{% endfor %}
{% if "shares_interest" in figures and "shares_brand" not in figures %}
<p class="quiet">The log has no brands.</p>
{% endif %}
"""

    def compute(self, context: Context) -> dict[str, pl.DataFrame]:
        return {"shares": pl.concat(measure_shares(events, context.window_edges) for events in context.labelled_events)}

    def figures(self, report: ReportTables) -> "dict[str, go.Figure | None]":
        return {f"shares_{kind}": draw_interactive(report, kind) for kind in KINDS}

    def images(self, report: ReportTables) -> "dict[str, Figure | None]":
        return {f"shares_{kind}": draw_image(report, kind) for kind in KINDS}


def measure_shares(events: LabelledEvents, edges: np.ndarray) -> pl.DataFrame:
    """Compute the mean share of each label among the users of each window, with 95% intervals over users.

    Args:
        events: events with their labels.
        edges: ``[W + 1]`` edges of the windows, unix seconds.

    Returns:
        One row per window and label.
    """
    log, windows, count = events.log, len(edges) - 1, len(events.names)
    window = window_of(log.time, edges)
    users = np.bincount(np.unique(log.user * windows + window) % windows, minlength=windows)
    at, label, share = user_shares(log.user, window, events.label, count)
    cell = at * count + label
    mean = np.bincount(cell, weights=share, minlength=windows * count).reshape(windows, count) / np.maximum(users, 1)[:, None]
    square = np.bincount(cell, weights=share**2, minlength=windows * count).reshape(windows, count)
    variance = np.maximum(square / np.maximum(users, 1)[:, None] - mean**2, 0)
    half = 1.96 * np.sqrt(variance / np.maximum(users - 1, 1)[:, None])
    half = np.where(mean > 0, half, 1 - 0.05 ** (1 / np.maximum(users, 1))[:, None])  # none of n users: the rule of three
    totals = np.bincount(window * count + events.label, minlength=windows * count)
    w, k = (axis.ravel() for axis in np.mgrid[:windows, :count])
    return pl.DataFrame(
        {
            "kind": [events.kind] * len(w),
            "name": [events.names[i] for i in k],
            "window": w,
            "start": to_datetimes(edges[w]),
            "end": to_datetimes(edges[w + 1]),
            "share": np.where(users[w] > 0, mean.ravel(), np.nan),
            "low": np.where(users[w] > 1, np.maximum(mean - half, 0).ravel(), np.nan),
            "high": np.where(users[w] > 1, np.minimum(mean + half, 1).ravel(), np.nan),
            "users": users[w],
            "events": totals,
        }
    ).with_columns(pl.col("share", "low", "high").fill_nan(None))


def draw_interactive(report: ReportTables, kind: str) -> "go.Figure | None":
    """Draw shares over time with their bands; names beyond the palette are hidden until clicked.

    Args:
        report: tables that may be shown.
        kind: ``interest`` or ``brand``.
    """
    import plotly.graph_objects as go

    from interestlab.reporting import number_formats as formats
    from interestlab.reporting.colours import PALETTE, assign_styles, with_alpha
    from interestlab.reporting.labels import escape
    from interestlab.reporting.plotly_figures import create_figure

    table = report["shares"].filter(pl.col("kind") == kind)
    if table.is_empty():
        return None
    traces: list[Any] = []
    for i, (name, style) in enumerate(assign_styles(report.ranked_names(kind)).items()):
        rows = table.filter(pl.col("name") == name).sort("window").to_dicts()
        visible: bool | str = True if i < len(PALETTE) else "legendonly"
        middle = [(row["start"] + (row["end"] - row["start"]) / 2).strftime("%Y-%m-%d %H:%M") for row in rows]
        band_x, band_y = outline_band(middle, rows)
        group = {"legendgroup": f"{kind}{i}", "visible": visible}
        if band_x:
            fill = {"fill": "toself", "fillcolor": with_alpha(style.colour, 0.1), "line": {"width": 0}, "mode": "lines"}
            traces.append(go.Scatter(x=band_x, y=band_y, hoverinfo="skip", showlegend=False, **fill, **group))
        hover = [
            f"<b>{escape(name)}</b>, {formats.date(row['start'])} to {formats.date(row['end'])}<br>"
            f"{formats.percent(row['share'])} of events (95%: {formats.percent(row['low'])} to {formats.percent(row['high'])})<br>"
            f"n = {formats.integer(row['users'])} users, {formats.integer(row['events'])} events"
            for row in rows
        ]
        look = {"line": {"color": style.colour, "dash": style.dash, "width": 2}, "marker": {"symbol": style.symbol, "size": 7}}
        line = {"x": middle, "y": [row["share"] for row in rows], "mode": "lines+markers", "name": escape(name, 30)}
        traces.append(go.Scatter(**line, **look, customdata=hover, hovertemplate="%{customdata}<extra></extra>", **group))
    axis = {"tickformat": ".0%", "rangemode": "tozero", "title": {"text": "share of events", "font": {"size": 13}}}
    legend = {"itemclick": "toggle", "itemdoubleclick": "toggleothers", "font": {"size": 12}, "tracegroupgap": 2}
    return create_figure(traces, 440, yaxis=axis, xaxis={"type": "date"}, legend=legend)


def outline_band(x: list[str], rows: list[dict[str, Any]]) -> tuple[list[str | None], list[float | None]]:
    """Outline the intervals: along the low ends and back along the high ends, once per run of windows with an interval.

    Args:
        x: ``[W]`` positions of the windows.
        rows: ``[W]`` with ``low`` and ``high``.

    Returns:
        Coordinates; None separates the outlines.
    """
    from itertools import groupby

    xs: list[str | None] = []
    ys: list[float | None] = []
    for known, run in groupby(zip(x, rows, strict=True), key=lambda pair: None not in (pair[1]["low"], pair[1]["high"])):
        if known:
            windows = list(run)
            gap = [None] if xs else []
            xs += [*gap, *(at for at, _ in windows), *(at for at, _ in reversed(windows))]
            ys += [*gap, *(row["low"] for _, row in windows), *(row["high"] for _, row in reversed(windows))]
    return xs, ys


def draw_image(report: ReportTables, kind: str) -> "Figure | None":
    """Draw the largest shares over time with their bands.

    Args:
        report: tables that may be shown.
        kind: ``interest`` or ``brand``.
    """
    from matplotlib.ticker import PercentFormatter

    from interestlab.drift.report.image_style import CAPTION, LINE_STYLES, MARKERS, format_dates, without_time_zone
    from interestlab.reporting.colours import PALETTE, assign_styles
    from interestlab.reporting.labels import clip
    from interestlab.reporting.matplotlib_figures import create_figure

    table = report["shares"].filter(pl.col("kind") == kind)
    if table.is_empty():
        return None
    figure, [panel] = create_figure(3.6)
    for name, style in list(assign_styles(report.ranked_names(kind)).items())[: len(PALETTE)]:
        rows = table.filter(pl.col("name") == name).sort("window")
        middle = rows.select(without_time_zone(pl.col("start") + (pl.col("end") - pl.col("start")) / 2)).to_series().to_numpy()
        values = {column: rows[column].cast(pl.Float64).to_numpy() for column in ("share", "low", "high")}
        panel.fill_between(middle, values["low"], values["high"], color=style.colour, alpha=0.13, lw=0)
        look: dict[str, Any] = {"color": style.colour, "ls": LINE_STYLES[style.dash], "marker": MARKERS[style.symbol]}
        panel.plot(middle, values["share"], label=clip(name), ms=4, lw=1.5, **look)
    format_dates(panel)
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panel.set_ylim(bottom=0)
    panel.set_ylabel("share of events")
    users = table["users"].drop_nulls().to_list() or [0]
    figure.supxlabel(f"bands: 95% intervals over users, {min(users):,} to {max(users):,} users per window", **CAPTION)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


section = Shares()
