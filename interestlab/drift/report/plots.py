"""The figures as PNGs, for papers and trackers: what the page shows, without the pointer."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
import polars as pl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.ticker import PercentFormatter

from interestlab.drift.report.figures import LIMIT, excess
from interestlab.drift.report.landmarks import sides
from interestlab.drift.report.look import VERDICT_COLOURS
from interestlab.drift.report.reading import Tables
from interestlab.drift.report.selection import chosen, emerging_or_fading, mapped, path, seen, sessions
from interestlab.drift.report.streams import diagram, heads
from interestlab.drift.verdicts import NO_CHANGE
from interestlab.reporting.colours import BLUE, DEFAULT_STYLE, GREY, INK, PALE, PALETTE, RED, assign_styles
from interestlab.reporting.labels import clip
from interestlab.reporting.matplotlib_figures import STYLE, create_figure, height_of_rows, png_bytes
from interestlab.reporting.number_formats import decimal, p_value

SMALL: dict[str, Any] = {"fontsize": 8, "color": GREY}
DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
SYMBOLS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "x": "X",
    "star": "*",
    "hexagon": "h",
    "circle-open": "$\\circ$",
}
FALLBACKS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei", "Noto Sans")
"""Fonts for signs that DejaVu lacks, where one is installed."""
PANELS, TRENDS = 6, 24
"""Timelines of the PNG, and names in that of the trends."""


def plots(tables: Tables) -> dict[str, bytes]:
    """PNGs by file name; what holds nothing is left out."""
    fonts = [STYLE["font.family"], *[name for name in FALLBACKS if name in font_manager.get_font_names()]]
    draw: dict[str, Callable[[], Figure | None]] = {
        "flows": lambda: flows(tables, True),
        "flows_windows": lambda: flows(tables, False),
        "shares_interest": lambda: shares(tables, "interest"),
        "shares_brand": lambda: shares(tables, "brand"),
        "map": lambda: trajectories(tables),
        "trends": lambda: trends(tables),
        "moves": lambda: moves(tables),
        "timelines": lambda: timelines(tables),
    }
    with matplotlib.rc_context({**STYLE, "font.family": fonts}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        drawn = {name: figure() for name, figure in draw.items()}
        return {f"{name}.png": png_bytes(figure) for name, figure in drawn.items() if figure is not None}


def flows(tables: Tables, over_all: bool) -> Figure | None:
    """Attention that moved between interests, beyond chance."""
    told = diagram(tables, over_all)
    if not told.streams:
        return None
    figure, [panel] = create_figure(min(5.0, 1.0 + 0.5 * told.most))
    colours = assign_styles(tables.interests)
    wide = 0.012 * (told.columns - 1)
    left, right = [node.top for node in told.nodes], [node.top for node in told.nodes]
    order = sorted(range(len(told.streams)), key=lambda i: (told.streams[i].source, told.streams[i].destination))
    ends: dict[int, list[float]] = {i: [0, 0] for i in order}
    for i in order:
        ends[i][0] = right[told.streams[i].source]
        right[told.streams[i].source] += told.scale * told.streams[i].row["excess"]
    for i in sorted(order, key=lambda i: (told.streams[i].destination, told.streams[i].source)):
        ends[i][1] = left[told.streams[i].destination]
        left[told.streams[i].destination] += told.scale * told.streams[i].row["excess"]
    for i in order:
        stream, (a, b) = told.streams[i], ends[i]
        x0, x1 = told.nodes[stream.source].column + wide, told.nodes[stream.destination].column - wide
        thick, middle = told.scale * stream.row["excess"], (x0 + x1) / 2
        corners = [(x0, a), (middle, a), (middle, b), (x1, b)]
        corners += [(x, y + thick) for x, y in reversed(corners)]
        codes = [Outline.MOVETO, *[Outline.CURVE4] * 3, Outline.LINETO, *[Outline.CURVE4] * 3]
        colour = colours.get(stream.row["source"], DEFAULT_STYLE).colour if stream.found else PALE
        panel.add_patch(PathPatch(Outline(corners, codes), facecolor=colour, alpha=0.42, edgecolor="none"))
    for node in told.nodes:
        colour = colours.get(node.name, DEFAULT_STYLE).colour
        panel.add_patch(Rectangle((node.column - wide, node.top), 2 * wide, node.bottom - node.top, facecolor=colour))
        last = node.column == told.columns - 1
        x = node.column + (-1.6 if last else 1.6) * wide
        side = "right" if last else "left"
        name = clip(node.name, 22 if over_all else 12)
        panel.text(x, (node.top + node.bottom) / 2, name, ha=side, va="center", fontsize=7.5 if over_all else 6)
    for column, head in enumerate(heads(tables, over_all, told.columns)):
        side = "left" if column == 0 else "right" if column == told.columns - 1 else "center"
        panel.text(column, -0.03, head, ha=side, va="bottom", fontsize=8, color=GREY)
    panel.set_xlim(-2 * wide, told.columns - 1 + 2 * wide)
    panel.set_ylim(1.01, -0.09)
    panel.set_axis_off()
    faint = " · pale: not told apart from chance" * bool(told.faint)
    counted = f"{told.found} of {told.tested} flows have q ≤ {tables.level:g}"
    if len(told.streams) - told.faint < told.found:
        counted += ", the largest are drawn"
    figure.supxlabel(f"width: attention moved beyond chance; {counted}{faint}", **SMALL)
    return figure


def shares(tables: Tables, kind: str) -> Figure | None:
    """Shares over time, each with its band: the largest names."""
    mine = tables.shares.filter(pl.col("kind") == kind)
    if mine.is_empty():
        return None
    figure, [panel] = create_figure(3.6)
    for name, mark in list(assign_styles(tables.ranked(kind)).items())[: len(PALETTE)]:
        rows = mine.filter(pl.col("name") == name).sort("window")
        middle = rows.select(moment(pl.col("start") + (pl.col("end") - pl.col("start")) / 2)).to_series().to_numpy()
        told = {column: rows[column].cast(pl.Float64).to_numpy() for column in ("share", "low", "high")}
        panel.fill_between(middle, told["low"], told["high"], color=mark.colour, alpha=0.13, lw=0)
        look: dict[str, Any] = {"color": mark.colour, "ls": DASHES[mark.dash], "marker": SYMBOLS[mark.symbol]}
        panel.plot(middle, told["share"], label=clip(name), ms=4, lw=1.5, **look)
    dated(panel)
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panel.set_ylim(bottom=0)
    panel.set_ylabel("share of attention")
    users = mine["users"].drop_nulls().to_list() or [0]
    figure.supxlabel(f"bands: 95% intervals over users, {min(users):,} to {max(users):,} users a window", **SMALL)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def moment(time: pl.Expr) -> pl.Expr:
    """Times as matplotlib reads them, which knows no zones of polars."""
    return time.dt.replace_time_zone(None)


def dated(panel: Axes) -> None:
    """Write times along x, briefly."""
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def trajectories(tables: Tables) -> Figure | None:
    """Users' windows as arrows between the interests."""
    where = tables.map.filter(pl.col("kind") == "interest").drop_nulls(["x", "y"])
    if where.is_empty():
        return None
    figure, [panel] = create_figure(5.4)
    verdicts: dict[str, int] = {}
    for user in mapped(tables).iter_rows(named=True):
        points = path(tables, user["user_id"]).to_numpy()
        colour, alpha = VERDICT_COLOURS[user["verdict"]], 0.4 if user["verdict"] == NO_CHANGE else 0.75
        arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1, "alpha": alpha, "shrinkA": 0, "shrinkB": 0}
        for a, b in pairwise(points):
            panel.annotate("", b, a, arrowprops=arrow)
        panel.plot(*points.T, color=colour, lw=0, marker="o", ms=1.5, alpha=alpha)
        verdicts[user["verdict"]] = verdicts.get(user["verdict"], 0) + 1
    names = [clip(name, 22) for name in where["name"]]
    points = where.select("x", "y").to_numpy()
    panel.plot(*points.T, "D", color=INK, mec="white", ms=7, zorder=4)
    for name, point, side in zip(names, points, sides([(x, y) for x, y in points.tolist()], names), strict=True):
        dx, dy = {"middle right": (7, 0), "middle left": (-7, 0), "top center": (0, 8), "bottom center": (0, -8)}[side]
        ha = "left" if dx > 0 else "right" if dx < 0 else "center"
        box = {"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.8}
        panel.annotate(name, point, (dx, dy), textcoords="offset points", ha=ha, va="center", fontsize=8, bbox=box, zorder=5)
    panel.margins(0.12)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[:].set_visible(False)
    lines = [Line2D([], [], color=VERDICT_COLOURS[name], label=f"{name} ({users})") for name, users in verdicts.items()]
    if lines:
        figure.legend(handles=lines, loc="outside upper left", ncols=4, frameon=False, fontsize=8)
    figure.supxlabel("arrows: users' windows in sequence · diamonds: interests", **SMALL)
    return figure


def trends(tables: Tables) -> Figure | None:
    """Change of share of what emerges and fades."""
    found = (
        tables.trends.filter(emerging_or_fading(tables))
        .sort("q", "name")
        .head(TRENDS)
        .sort("change", "name", descending=[True, False])
    )
    if found.is_empty():
        return None
    rows = found.to_dicts()
    figure, [panel] = create_figure(height_of_rows(len(rows)), 1, [f"{clip(row['name'])} ({row['kind']})" for row in rows])
    values = [100 * row["change"] for row in rows]
    panel.barh(range(len(rows)), values, height=0.6, color=[BLUE if value > 0 else RED for value in values])
    labels = [f"q {p_value(row['q'])}, {row['users_early']:,} → {row['users_late']:,} users" for row in rows]
    for y, (value, label) in enumerate(zip(values, labels, strict=True)):  # on the side that the bar leaves free
        away, side = (-4, "right") if value > 0 else (4, "left")
        panel.annotate(label, (0, y), (away, 0), textcoords="offset points", ha=side, va="center", fontsize=7.5)
    panel.axvline(0, color=GREY, lw=0.8)
    most = 1.1 * max(map(abs, values))
    panel.set_xlim(-most, most)
    panel.grid(False, axis="y")
    panel.set_xlabel("change of share, percentage points")
    return figure


def moves(tables: Tables) -> Figure | None:
    """Users who changed segment against those that chance would send."""
    names = tables.segments["segment"].to_list()
    if len(names) < 2 or tables.moves.is_empty():
        return None
    grid = np.full((len(names), len(names)), np.nan)
    figure, [panel] = create_figure(1.4 + 0.5 * len(names))
    place = {name: i for i, name in enumerate(names)}
    for row in tables.moves.iter_rows(named=True):
        if row["source"] in place and row["destination"] in place:
            y, x = place[row["source"]], place[row["destination"]]
            grid[y, x] = excess(row, tables.level)
            if len(names) <= 12:
                panel.text(x, y, f"{row['users']:,}\n({decimal(row['by_chance'], 1)})", ha="center", va="center", fontsize=7)
    ramp = matplotlib.colors.LinearSegmentedColormap.from_list("moves", ["#ffffff", RED])
    image = panel.imshow(np.ma.masked_invalid(grid), cmap=ramp, vmin=0, vmax=LIMIT, aspect="auto")
    bar = figure.colorbar(image, ax=panel, ticks=[0, 1, 2])
    bar.ax.set_yticklabels(["as chance", "twice", "4 times"])
    panel.set_xticks(range(len(names)), [clip(name, 14) for name in names], rotation=30 if len(names) > 5 else 0)
    panel.set_yticks(range(len(names)), [clip(name) for name in names])
    panel.grid(False)
    panel.set_xlabel("segment after")
    panel.set_ylabel("segment before")
    panel.set_title(f"users (by chance); white where q > {tables.level:g}", **SMALL)
    return figure


def timelines(tables: Tables) -> Figure | None:
    """Sessions of some users along time, a lane an interest; change-points are vertical lines."""
    users = chosen(tables)[:PANELS]
    if not users:
        return None
    colours = assign_styles(tables.interests)
    held = [sessions(tables, user) for user in users]
    lanes = [rows["interest"].unique(maintain_order=True).to_list() for rows in held]
    figure, _ = create_figure(0.4 + sum(0.55 + 0.19 * len(names) for names in lanes))
    figure.clear()
    panels = figure.subplots(len(users), 1, squeeze=False, height_ratios=[0.55 + 0.19 * len(names) for names in lanes])[:, 0]
    for panel, user, rows, names in zip(panels, users, held, lanes, strict=True):
        for y, lane in enumerate(names):
            mark = colours.get(lane, DEFAULT_STYLE)
            at = rows.filter(pl.col("interest") == lane).select(moment(pl.col("at"))).to_series().to_numpy()
            panel.plot(at, [y] * len(at), SYMBOLS[mark.symbol], color=mark.colour, ms=4, alpha=0.75, mew=0)
        for change in tables.changes.filter(pl.col("user_id") == user).iter_rows(named=True):
            when = seen(change).replace(tzinfo=None)
            panel.axvline(when, color=RED, ls="-" if change["method"] == "offline" else ":", lw=1.5)
        panel.set_yticks(range(len(names)), [clip(name, 22) for name in names], fontsize=7)
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.set_title(clip(user, 40), fontsize=8)
        panel.tick_params(length=0, labelsize=7)
        panel.grid(False, axis="x")
        dated(panel)
    figure.supxlabel("solid line: change-point found offline · dotted: when the online detector says so", **SMALL)
    return figure
