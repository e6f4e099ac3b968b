"""The interactive figures of the page, by name."""

from itertools import groupby
from math import log2
from typing import Any

import plotly.graph_objects as go
import polars as pl

from interestlab.drift.report.landmarks import sides
from interestlab.drift.report.look import VERDICT_COLOURS
from interestlab.drift.report.reading import Tables
from interestlab.drift.report.selection import chosen, mapped, path, seen, sessions
from interestlab.drift.report.streams import diagram, heads
from interestlab.drift.verdicts import BOTH, MIGRATED, NO_CHANGE
from interestlab.reporting import labels
from interestlab.reporting import number_formats as formats
from interestlab.reporting.colours import DEFAULT_STYLE, GREY, INK, PALE, PALETTE, RED, assign_styles, with_alpha
from interestlab.reporting.labels import clip, escape
from interestlab.reporting.plotly_figures import create_figure

THICK = 14
"""Pixels of a node of the diagram of flows."""


def figures(tables: Tables) -> dict[str, go.Figure]:
    """Figures by name; what holds nothing is left out."""
    drawn: dict[str, go.Figure | None] = {
        "flows": flows(tables, True),
        "flows_windows": flows(tables, False),
        "shares_interest": shares(tables, "interest"),
        "shares_brand": shares(tables, "brand"),
        "map": trajectories(tables),
        "moves": moves(tables),
    }
    drawn |= {f"timeline_{i}": timeline(tables, user) for i, user in enumerate(chosen(tables))}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def flows(tables: Tables, over_all: bool) -> go.Figure | None:
    """Attention that moved between interests, beyond chance."""
    told = diagram(tables, over_all)
    if not told.streams:
        return None
    colours, top = assign_styles(tables.interests), 34
    tall = min(520 if over_all else 640, 110 + 50 * told.most)
    inner = tall - top - 10
    hover = [
        f"<b>{escape(s.row['source'])} → {escape(s.row['destination'])}</b><br>"
        f"{formats.percent(s.row['flow'], 2)} of a user's attention, {formats.percent(s.row['by_chance'], 2)} by chance<br>"
        f"{formats.p_and_q(s.row['p'], s.row['q'])}, n = {formats.integer(s.row['users'])} users"
        + ("" if s.found else "<br>not told apart from chance")
        for s in told.streams
    ]
    edge = 0.001  # plotly reads 0 as nothing said
    sankey = go.Sankey(
        arrangement="snap",
        node={
            "label": [escape(node.name, 24 if over_all else 15) for node in told.nodes],
            "color": [colours.get(node.name, DEFAULT_STYLE).colour for node in told.nodes],
            "x": [min(1 - edge, max(edge, node.column / max(1, told.columns - 1))) for node in told.nodes],
            "y": [min(1 - edge, max(edge, (node.top + node.bottom) / 2)) for node in told.nodes],
            "thickness": THICK,
            "pad": 0.035 * inner,
            "line": {"width": 0},
            "customdata": [escape(node.name) for node in told.nodes],
            "hovertemplate": "%{customdata}<extra></extra>",
        },
        link={
            "source": [s.source for s in told.streams],
            "target": [s.destination for s in told.streams],
            "value": [s.row["excess"] for s in told.streams],
            "color": [
                with_alpha(colours.get(s.row["source"], DEFAULT_STYLE).colour if s.found else PALE, 0.42) for s in told.streams
            ],
            "customdata": hover,
            "hovertemplate": "%{customdata}<extra></extra>",
        },
        textfont={"size": 12, "color": INK},
    )
    written = heads(tables, over_all, told.columns)
    notes = []
    for i, head in enumerate(written):
        at = i / max(1, told.columns - 1)
        align = "left" if i == 0 else "right" if i == len(written) - 1 else "center"
        note = {"text": f"<b>{escape(head)}</b>", "x": at, "y": 1, "xref": "paper", "yref": "paper", "xanchor": align}
        notes.append(note | {"yanchor": "bottom", "yshift": 6, "showarrow": False, "font": {"size": 12, "color": GREY}})
    return create_figure([sankey], tall, annotations=notes, margin={"l": 10, "r": 10, "t": top, "b": 10})


def shares(tables: Tables, kind: str) -> go.Figure | None:
    """Shares over time, each with its band; beyond the largest, names wait in the legend."""
    mine = tables.shares.filter(pl.col("kind") == kind)
    if mine.is_empty():
        return None
    names = tables.ranked(kind)
    traces: list[Any] = []
    for i, (name, mark) in enumerate(assign_styles(names).items()):
        rows = mine.filter(pl.col("name") == name).sort("window").to_dicts()
        seen: bool | str = True if i < len(PALETTE) else "legendonly"
        middle = [(row["start"] + (row["end"] - row["start"]) / 2).strftime("%Y-%m-%d %H:%M") for row in rows]
        band_x, band_y = band(middle, rows)
        group = {"legendgroup": f"{kind}{i}", "visible": seen}
        if band_x:
            fill = {"fill": "toself", "fillcolor": with_alpha(mark.colour, 0.1), "line": {"width": 0}, "mode": "lines"}
            traces.append(go.Scatter(x=band_x, y=band_y, hoverinfo="skip", showlegend=False, **fill, **group))
        hover = [
            f"<b>{escape(name)}</b>, {formats.date(row['start'])} to {formats.date(row['end'])}<br>"
            f"{formats.percent(row['share'])} of attention "
            f"(95%: {formats.percent(row['low'])} to {formats.percent(row['high'])})<br>"
            f"n = {formats.integer(row['users'])} users, {formats.integer(row['events'])} events"
            for row in rows
        ]
        look = {"line": {"color": mark.colour, "dash": mark.dash, "width": 2}, "marker": {"symbol": mark.symbol, "size": 7}}
        line = {"x": middle, "y": [row["share"] for row in rows], "mode": "lines+markers", "name": escape(name, 30)}
        traces.append(go.Scatter(**line, **look, customdata=hover, hovertemplate="%{customdata}<extra></extra>", **group))
    axis = {"tickformat": ".0%", "rangemode": "tozero", "title": {"text": "share of attention", "font": {"size": 13}}}
    legend = {"itemclick": "toggle", "itemdoubleclick": "toggleothers", "font": {"size": 12}, "tracegroupgap": 2}
    return create_figure(traces, 440, yaxis=axis, xaxis={"type": "date"}, legend=legend)


def band(at: list[str], rows: list[dict[str, Any]]) -> tuple[list[str | None], list[float | None]]:
    """The outline of the intervals, along the lows and back along the highs; once for each run of windows that have one."""
    x: list[str | None] = []
    y: list[float | None] = []
    for known, run in groupby(zip(at, rows, strict=True), key=lambda pair: None not in (pair[1]["low"], pair[1]["high"])):
        if known:
            held = list(run)
            gap = [None] if x else []
            x += [*gap, *(when for when, _ in held), *(when for when, _ in reversed(held))]
            y += [*gap, *(row["low"] for _, row in held), *(row["high"] for _, row in reversed(held))]
    return x, y


def trajectories(tables: Tables) -> go.Figure | None:
    """Users' windows as arrows between the interests."""
    users = mapped(tables)
    where = tables.map.filter(pl.col("kind") == "interest").drop_nulls(["x", "y"])
    if where.is_empty():
        return None
    traces: list[Any] = []
    shown: set[str] = set()
    xs: list[float] = where["x"].to_list()
    for user in users.iter_rows(named=True):
        way = path(tables, user["user_id"])
        verdict, colour = user["verdict"], VERDICT_COLOURS[user["verdict"]]
        hover = f"<b>{escape(user['user_id'])}</b>: {verdict}<br>" + (
            f"{escape(labels.transition(user['source'], user['destination']))}<br>" if verdict in (MIGRATED, BOTH) else ""
        )
        hover += f"q {formats.p_value(user['q_migration'])} (migration), {formats.p_value(user['q_evolution'])} (evolution)<br>"
        hover += f"n = {user['events']:,} events in {user['sessions']:,} sessions"
        still = verdict == NO_CHANGE
        heads: dict[str, Any] = {"symbol": ["circle", *["arrow"] * (way.height - 1)], "angleref": "previous", "color": colour}
        heads |= {"size": [5, *[9] * (way.height - 1)], "opacity": 1, "standoff": 0}
        group = {"legendgroup": verdict, "name": verdict, "showlegend": verdict not in shown}
        group |= {"opacity": 0.45 if still else 0.75}
        line: dict[str, Any] = {"x": way["x"].to_list(), "y": way["y"].to_list(), "mode": "lines+markers"}
        line |= {"line": {"color": colour, "width": 1.4}}
        xs += line["x"]
        told = {"customdata": [hover] * way.height, "hovertemplate": "%{customdata}<extra></extra>"}
        traces.append(go.Scatter(**line, marker=heads, **group, **told))
        shown.add(verdict)
    names = where["name"].to_list()
    written = [escape(name, 22) for name in names]
    places = list(zip(where["x"].to_list(), where["y"].to_list(), strict=True))
    look = {"symbol": "diamond", "size": 12, "color": INK, "line": {"color": "#fff", "width": 1.5}}
    text = {"text": written, "textposition": sides(places, [clip(name, 22) for name in names])}
    font = {"size": 12, "color": INK, "shadow": "0 0 3px #fff, 0 0 3px #fff, 0 0 3px #fff"}
    landmark = {"x": [x for x, _ in places], "y": [y for _, y in places], "mode": "markers+text", "name": "interest"}
    told = {"customdata": [escape(name) for name in names], "hovertemplate": "%{customdata}<extra>interest</extra>"}
    traces.append(go.Scatter(**landmark, marker=look, textfont=font, **text, **told))
    blank = {"showticklabels": False, "showgrid": False, "showline": False}
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    return create_figure(traces, 620, xaxis=blank | {"range": padded(xs)}, yaxis=blank, legend=legend)


def padded(values: list[float], by: float = 0.1) -> list[float]:
    """The range of values, with room for names at the sides."""
    room = by * ((max(values) - min(values)) or 1)
    return [min(values) - room, max(values) + room]


def timeline(tables: Tables, user: str) -> go.Figure:
    """One user's sessions along time, a lane an interest; change-points are vertical lines."""
    rows = sessions(tables, user)
    lanes = rows["interest"].unique(maintain_order=True).to_list()
    colours = assign_styles(tables.interests)
    traces = []
    for y, lane in enumerate(lanes):
        mine = rows.filter(pl.col("interest") == lane).to_dicts()
        mark = colours.get(lane, DEFAULT_STYLE)
        look = {"color": mark.colour, "symbol": mark.symbol, "size": 9, "opacity": 0.75}
        hover = [
            f"{row['at']:%Y-%m-%d %H:%M}, session {row['session'] + 1}, {escape(labels.text(row['event']))}<br>"
            f"<b>{escape(labels.text(row['title']), 60)}</b><br>{escape(lane)}"
            for row in mine
        ]
        told = {"customdata": hover, "hovertemplate": "%{customdata}<extra></extra>", "showlegend": False}
        times = [f"{row['at']:%Y-%m-%d %H:%M:%S}" for row in mine]
        traces.append(go.Scatter(x=times, y=[y] * len(mine), mode="markers", marker=look, **told))
    lines = []
    for change in tables.changes.filter(pl.col("user_id") == user).iter_rows(named=True):
        at = f"{seen(change):%Y-%m-%d %H:%M:%S}"
        dash = "solid" if change["method"] == "offline" else "dot"
        line = {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1}
        lines.append(line | {"line": {"color": RED, "width": 2, "dash": dash}})
    ticks = {"tickvals": list(range(len(lanes))), "ticktext": [escape(lane, 24) for lane in lanes]}
    axis = ticks | {"range": [len(lanes) - 0.4, -0.6], "fixedrange": True}
    margin = {"l": 10, "r": 10, "t": 8, "b": 10}
    return create_figure(traces, 70 + 26 * len(lanes), yaxis=axis, xaxis={"type": "date"}, shapes=lines, margin=margin)


LIMIT = 2.0
"""Where the colours of the moves end: four times as many users as by chance."""


def moves(tables: Tables) -> go.Figure | None:
    """Users who changed segment against those that chance would send; white where q is above the level."""
    names = tables.segments["segment"].to_list()
    if len(names) < 2 or tables.moves.is_empty():
        return None
    grid = {(row["source"], row["destination"]): row for row in tables.moves.iter_rows(named=True)}
    colour: list[list[float | None]] = []
    text, hover = [], []
    for source in names:
        row = [grid.get((source, destination)) for destination in names]
        colour.append([None if cell is None else excess(cell, tables.level) for cell in row])
        text.append(["" if cell is None else f"{cell['users']:,}<br>({formats.decimal(cell['by_chance'], 1)})" for cell in row])
        hover.append(
            [
                ""
                if cell is None
                else f"<b>{escape(source)} → {escape(cell['destination'])}</b><br>n = {cell['users']:,} users, "
                f"{formats.decimal(cell['by_chance'], 1)} by chance<br>{formats.p_and_q(cell['p'], cell['q'])}"
                for cell in row
            ]
        )
    written = [escape(name, 22) for name in names]
    bar = {
        "title": {"text": "users against chance<br> ", "side": "top", "font": {"size": 12}},
        "tickvals": [0, 1, 2],
        "thickness": 14,
    }
    bar |= {"ticktext": ["as chance", "twice", "4 times"]}
    heat = go.Heatmap(
        z=colour,
        x=list(range(len(names))),
        y=list(range(len(names))),
        text=text if len(names) <= 12 else None,
        texttemplate="%{text}" if len(names) <= 12 else None,
        customdata=hover,
        hovertemplate="%{customdata}<extra></extra>",
        colorscale=[[0, "#ffffff"], [1, RED]],
        zmin=0,
        zmax=LIMIT,
        xgap=2,
        ygap=2,
        colorbar=bar,
        textfont={"color": INK},
    )
    ticks = {"tickvals": list(range(len(names))), "ticktext": written, "showgrid": False}
    return create_figure(
        [heat],
        140 + 52 * len(names),
        xaxis=ticks | {"title": {"text": "segment after", "font": {"size": 13}}, "side": "bottom"},
        yaxis=ticks | {"title": {"text": "segment before", "font": {"size": 13}, "standoff": 18}, "autorange": "reversed"},
        plot_bgcolor=PALE,
    )


def excess(cell: dict[str, Any], level: float) -> float:
    """The binary logarithm of users over those by chance, at most the colours' limit; 0 where it is no finding.

    The test is of more users than by chance alone, so fewer are never a finding.
    """
    if cell["q"] is None or cell["q"] > level or cell["by_chance"] is None:
        return 0.0
    return max(0.0, min(LIMIT, log2((cell["users"] + 0.5) / (cell["by_chance"] + 0.5))))
