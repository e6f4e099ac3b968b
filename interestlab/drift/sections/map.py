"""Map: interests, and the paths of some users between them, in two dimensions."""

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from interestlab.drift.context import Context
from interestlab.drift.population import window_of
from interestlab.drift.report.map_labels import place_labels
from interestlab.drift.report.selection import sort_by_evidence
from interestlab.drift.report.tables import ReportTables
from interestlab.drift.report.verdict_colours import VERDICT_COLOURS
from interestlab.drift.section import INTEGER, NUMBER, TEXT, Column, Section, Table
from interestlab.drift.verdicts import BOTH, INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

CHANGED_USERS, UNCHANGED_USERS = 14, 4
"""Users drawn."""

USERS_PER_EXAMPLE = 5
"""Users with coordinates, as a multiple of ``settings.example_users``."""


class Map(Section):
    """Principal axes of the interests' centroids, and the users' mean vectors by window."""

    name = "map"
    title = "Trajectories"
    label = "Map"
    order = 40
    after = ("users",)
    tables = {
        "map": Table(
            "interest, or user and calendar window",
            {
                "kind": Column(TEXT, "`interest` or `user`"),
                "name": Column(TEXT, "name of the interest, or id of the user"),
                "window": Column(INTEGER, "calendar window; −1 for an interest"),
                "x": Column(NUMBER, "coordinate on the axis along which the interests differ most"),
                "y": Column(NUMBER, "coordinate on the second axis"),
            },
        )
    }
    docs = """
The two axes along which the centroids of the interests differ most, and on them the mean vector of some users in each calendar
window. The map illustrates; verdicts come from the tests.
"""
    template = """
{% if "map" in figures %}
{% call figure("map", "Map: users' windows as arrows between interests", "map.png", bar=true) %}
{% if meta.answered %}Arrows join one user's windows in time; diamonds are interests. Shown are up to {{ changed_users }} users with the
strongest evidence of a change, and up to {{ unchanged_users }} with long histories and no change seen. Users without enough evidence
are not drawn.{% else %}Diamonds are interests. No user has enough evidence to be drawn.{% endif %} Two dimensions cannot preserve all
distances: a verdict comes from the tests, never from this map.{% endcall %}
{% else %}
<p class="none">No map was made.</p>
{% endif %}
"""

    def compute(self, context: Context) -> dict[str, pl.DataFrame]:
        return {"map": project(context)}

    def restrict(self, name: str, table: pl.DataFrame, users: pl.DataFrame) -> pl.DataFrame:
        shown = users.select(pl.col("user_id").alias("name"), kind=pl.lit("user"))
        paths = table.join(shown, on=["kind", "name"], how="semi", maintain_order="left")
        return pl.concat([table.filter(pl.col("kind") == "interest"), paths])

    def figures(self, report: ReportTables) -> "dict[str, go.Figure | None]":
        return {"map": draw_interactive(report)}

    def images(self, report: ReportTables) -> "dict[str, Figure | None]":
        return {"map": draw_image(report)}

    def variables(self, report: ReportTables) -> dict[str, Any]:
        return {"changed_users": CHANGED_USERS, "unchanged_users": UNCHANGED_USERS}


def project(context: Context) -> pl.DataFrame:
    """Project the interests, and the mean vectors of some users by window, on the main axes of the interests.

    Events whose item has no vector are ignored. Users with a change come first, those with the strongest evidence before others.

    Args:
        context: after the table of users was computed.

    Returns:
        The table of the map.
    """
    log, interests, edges = context.log, context.interests, context.window_edges
    centroids = interests.centroids
    middle = centroids.mean(0)
    axes = np.linalg.svd(centroids - middle, full_matrices=False)[2][:2].T
    largest = axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])]
    axes = axes * np.where(largest < 0, -1, 1)  # the sign of a singular vector is arbitrary
    chosen = (
        context.table("users")
        .with_row_index()
        .filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
        .sort(pl.col("verdict") == NO_CHANGE, pl.min_horizontal("q_migration", "q_evolution"), "index")["index"]
        .head(USERS_PER_EXAMPLE * context.settings.example_users)
        .to_numpy()
    )
    events = log.keep_events(np.isin(log.user, chosen) & (np.linalg.norm(interests.vectors, axis=1) > 0)[log.item])
    windows = len(edges) - 1
    keys, inverse, counts = np.unique(
        events.user * windows + window_of(events.time, edges), return_inverse=True, return_counts=True
    )
    sums = np.zeros((len(keys), centroids.shape[1]))
    np.add.at(sums, inverse, interests.vectors[events.item])
    points = np.vstack([centroids, sums / counts[:, None]]) - middle
    xy = np.zeros((len(points), 2))
    xy[:, : axes.shape[1]] = points @ axes
    return pl.DataFrame(
        {
            "kind": ["interest"] * len(interests) + ["user"] * len(keys),
            "name": [*interests.names, *log.users.gather((keys // windows).tolist())],
            "window": np.r_[np.full(len(interests), -1), keys % windows],
            "x": xy[:, 0],
            "y": xy[:, 1],
        }
    )


def choose_users(report: ReportTables) -> pl.DataFrame:
    """Choose the users to draw: those with the strongest evidence of a change, and some without a change for comparison.

    Args:
        report: tables that may be shown.

    Returns:
        Rows of the table of users.
    """
    on_map = report["map"].filter(pl.col("kind") == "user").select(user_id="name").unique()
    changed = sort_by_evidence(report).drop("q").join(on_map, on="user_id", how="semi", maintain_order="left")
    unchanged = report["users"].filter(pl.col("verdict") == NO_CHANGE).join(on_map, on="user_id", how="semi")
    unchanged = unchanged.sort("events", "user_id", descending=[True, False])
    return pl.concat([unchanged.head(UNCHANGED_USERS), changed.head(CHANGED_USERS)])


def path_of(report: ReportTables, user: str) -> pl.DataFrame:
    """Return the coordinates of a user's windows in order of time.

    Args:
        report: tables that may be shown.
        user: id of the user.

    Returns:
        ``x`` and ``y``.
    """
    rows = report["map"].filter((pl.col("kind") == "user") & (pl.col("name") == user))
    return rows.drop_nulls(["x", "y"]).sort("window").select("x", "y")


def draw_interactive(report: ReportTables) -> "go.Figure | None":
    """Draw the users' windows as arrows between the interests.

    Args:
        report: tables that may be shown.
    """
    import plotly.graph_objects as go

    from interestlab.reporting import labels
    from interestlab.reporting import number_formats as formats
    from interestlab.reporting.colours import INK
    from interestlab.reporting.labels import escape
    from interestlab.reporting.plotly_figures import create_figure

    interests = report["map"].filter(pl.col("kind") == "interest").drop_nulls(["x", "y"])
    if interests.is_empty():
        return None
    traces: list[Any] = []
    in_legend: set[str] = set()
    xs: list[float] = interests["x"].to_list()
    for user in choose_users(report).iter_rows(named=True):
        path = path_of(report, user["user_id"])
        verdict, colour = user["verdict"], VERDICT_COLOURS[user["verdict"]]
        hover = f"<b>{escape(user['user_id'])}</b>: {verdict}<br>" + (
            f"{escape(labels.transition(user['source'], user['destination']))}<br>" if verdict in (MIGRATED, BOTH) else ""
        )
        q = formats.p_value(user["q_migration"]), formats.p_value(user["q_evolution"])
        hover += f"q {q[0]} (migration), {q[1]} (evolution)<br>"
        hover += f"n = {user['events']:,} events in {user['sessions']:,} sessions"
        heads: dict[str, Any] = {"symbol": ["circle", *["arrow"] * (path.height - 1)], "angleref": "previous", "color": colour}
        heads |= {"size": [5, *[9] * (path.height - 1)], "opacity": 1, "standoff": 0}
        group = {"legendgroup": verdict, "name": verdict, "showlegend": verdict not in in_legend}
        group |= {"opacity": 0.45 if verdict == NO_CHANGE else 0.75}
        line: dict[str, Any] = {"x": path["x"].to_list(), "y": path["y"].to_list(), "mode": "lines+markers"}
        line |= {"line": {"color": colour, "width": 1.4}}
        xs += line["x"]
        text = {"customdata": [hover] * path.height, "hovertemplate": "%{customdata}<extra></extra>"}
        traces.append(go.Scatter(**line, marker=heads, **group, **text))
        in_legend.add(verdict)
    names = interests["name"].to_list()
    points = list(zip(interests["x"].to_list(), interests["y"].to_list(), strict=True))
    look = {"symbol": "diamond", "size": 12, "color": INK, "line": {"color": "#fff", "width": 1.5}}
    position = place_labels(points, [labels.clip(name, 22) for name in names])
    written = {"text": [escape(name, 22) for name in names], "textposition": position}
    font = {"size": 12, "color": INK, "shadow": "0 0 3px #fff, 0 0 3px #fff, 0 0 3px #fff"}
    diamonds = {"x": [x for x, _ in points], "y": [y for _, y in points], "mode": "markers+text", "name": "interest"}
    text = {"customdata": [escape(name) for name in names], "hovertemplate": "%{customdata}<extra>interest</extra>"}
    traces.append(go.Scatter(**diamonds, marker=look, textfont=font, **written, **text))
    blank = {"showticklabels": False, "showgrid": False, "showline": False}
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    return create_figure(traces, 620, xaxis=blank | {"range": pad_range(xs)}, yaxis=blank, legend=legend)


def pad_range(values: list[float], by: float = 0.1) -> list[float]:
    """Extend the range of some values, to leave room for names at the sides.

    Args:
        values: coordinates.
        by: share of the range that is added at each end.

    Returns:
        Lower and upper end.
    """
    room = by * ((max(values) - min(values)) or 1)
    return [min(values) - room, max(values) + room]


def draw_image(report: ReportTables) -> "Figure | None":
    """Draw the same map for a PNG.

    Args:
        report: tables that may be shown.
    """
    from matplotlib.lines import Line2D

    from interestlab.drift.report.image_style import CAPTION
    from interestlab.reporting.colours import INK
    from interestlab.reporting.labels import clip
    from interestlab.reporting.matplotlib_figures import create_figure

    interests = report["map"].filter(pl.col("kind") == "interest").drop_nulls(["x", "y"])
    if interests.is_empty():
        return None
    figure, [panel] = create_figure(5.4)
    verdicts: dict[str, int] = {}
    for user in choose_users(report).iter_rows(named=True):
        points = path_of(report, user["user_id"]).to_numpy()
        colour, alpha = VERDICT_COLOURS[user["verdict"]], 0.4 if user["verdict"] == NO_CHANGE else 0.75
        arrow = {"arrowstyle": "-|>", "color": colour, "lw": 1, "alpha": alpha, "shrinkA": 0, "shrinkB": 0}
        for a, b in pairwise(points):
            panel.annotate("", b, a, arrowprops=arrow)
        panel.plot(*points.T, color=colour, lw=0, marker="o", ms=1.5, alpha=alpha)
        verdicts[user["verdict"]] = verdicts.get(user["verdict"], 0) + 1
    names = [clip(name, 22) for name in interests["name"]]
    points = interests.select("x", "y").to_numpy()
    panel.plot(*points.T, "D", color=INK, mec="white", ms=7, zorder=4)
    offsets = {"middle right": (7, 0), "middle left": (-7, 0), "top center": (0, 8), "bottom center": (0, -8)}
    for name, point, side in zip(names, points, place_labels([(x, y) for x, y in points.tolist()], names), strict=True):
        dx, dy = offsets[side]
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
    figure.supxlabel("arrows: users' windows in sequence · diamonds: interests", **CAPTION)
    return figure


section = Map()
