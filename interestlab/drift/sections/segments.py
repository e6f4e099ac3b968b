"""Segments: groups of users with similar interests, their brands, whether they moved, and moves between them."""

from math import log2
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from interestlab.drift.context import Context
from interestlab.drift.report.tables import ReportTables
from interestlab.drift.section import INTEGER, NUMBER, NUMBERS, TEXT, TEXTS, Column, Section, Table
from interestlab.drift.segmentation import Segmentation, compute_lifts
from interestlab.drift.shares import InterestShares
from interestlab.drift.verdicts import BOTH, INSUFFICIENT_EVIDENCE, MIGRATED
from interestlab.stats.multiple_testing import benjamini_hochberg

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

TOP = 5
"""Interests and brands listed for a segment."""

MIN_SHARE = 0.05
"""Interests below this share of a segment's events are not listed: the lift of a rare interest is noise."""

LIMIT = 2.0
"""Largest binary logarithm that the colours distinguish: four times as many users as by chance."""

MAX_WRITTEN = 12
"""Most segments for which numbers are written into the cells."""


class Segments(Section):
    """Pooled tests of segments, and moves between segments."""

    name = "segments"
    title = "Segments"
    order = 60
    after = ("users",)
    tables = {
        "segments": Table(
            "segment",
            {
                "segment": Column(TEXT, "name: its largest interests"),
                "users": Column(INTEGER, "users of the segment"),
                "events": Column(INTEGER, "their events"),
                "interests": Column(TEXTS, "interests with the largest lift"),
                "lifts": Column(NUMBERS, "share in the segment over share among all users, of these interests"),
                "brands": Column(TEXTS, "brands with the largest lift"),
                "brand_lifts": Column(NUMBERS, "lifts of these brands"),
                "brand_q": Column(NUMBERS, "q-values of these lifts, over all segments and brands"),
                "tv": Column(NUMBER, "total variation of the mean change of the users' shares, beyond the catalogue shift"),
                "tv_under_null": Column(NUMBER, "its mean over the permutations"),
                "p": Column(NUMBER, "p-value of `tv`, sessions permuted within users"),
                "q": Column(NUMBER, "the same after correction over segments"),
                "source": Column(TEXT, "interest with the largest fall"),
                "destination": Column(TEXT, "interest with the largest rise"),
                "migrated": Column(INTEGER, "users whose verdict includes migration"),
                "answered": Column(INTEGER, "users with a verdict"),
            },
        ),
        "moves": Table(
            "pair of segments",
            {
                "source": Column(TEXT, "segment nearest to the first window"),
                "destination": Column(TEXT, "segment nearest to the second window"),
                "users": Column(INTEGER, "users of that pair"),
                "under_null": Column(NUMBER, "mean over the permutations"),
                "p": Column(NUMBER, "p-value of a number as large; null within a segment and for rare moves"),
                "q": Column(NUMBER, "the same after correction over all moves"),
            },
        ),
    }
    docs = """
k-means clusters users by the square roots of their interest shares over the full history. The full history is used because a
segment of those who liked something *before* would appear to lose interest by regression to the mean alone. The mean change of a
segment's users, beyond the catalogue shift, is tested by permuting sessions within users. Each window is also assigned to its
nearest segment, and moves between segments are compared with the same permutations.
"""
    template = """
{% if segments %}
<div class="scroll">
<table class="sortable">
<caption>Users with similar interests. Lift: share in the segment over share in the full log. The migration is the total variation
of the mean change of its users' shares from before to after.</caption>
{{ heads("segment", "#users", "interests (lift)", "brands (lift, q)", "#migration", "#p", "#q", "largest fall → rise",
"#users migrated") }}
<tbody>
{% for s in segments %}
{% set clear = s.q is not none and s.q <= level %}
<tr><th scope="row">{{ s.segment }}</th>
{{ two(s.users, formats.integer(s.users), labels.plural(s.events, "event")) }}
<td>{% for name in s.interests or [] %}{{ name }} ({{ formats.decimal(s.lifts[loop.index0], 1) }}×)
{%- if not loop.last %}<br>{% endif %}{% else %}–{% endfor %}</td>
<td>{% for name in s.brands or [] %}{{ name }} ({{ formats.decimal(s.brand_lifts[loop.index0], 1) }}×,&nbsp;q&nbsp;
{{- formats.p_value(s.brand_q[loop.index0]) }}){% if not loop.last %}<br>{% endif %}{% else %}–{% endfor %}</td>
<td class="n" data-v="{{ "" if s.tv is none else "%.6g" | format(s.tv) }}">{% if clear %}<strong>{{ formats.decimal(s.tv) }}</strong>
{%- else %}{{ formats.decimal(s.tv) }}{% endif %}<small>{{ formats.decimal(s.tv_under_null) }} by chance</small></td>
{{ num(s.p, formats.p_value(s.p)) }}{{ num(s.q, formats.p_value(s.q)) }}
<td>{% if clear %}{{ labels.transition(s.source, s.destination) }}{% else %}–{% endif %}</td>
{{ two(s.migrated, formats.integer(s.migrated), "of " ~ formats.integer(s.answered) ~ " with a verdict") }}</tr>
{% endfor %}
</tbody>
</table>
</div>
{% else %}
<p class="none">No segments were made.</p>
{% endif %}
{% if "moves" in figures %}
<h3>Moves between segments</h3>
{% call figure("moves", "Heat map of users by segment before and after, compared with chance", "moves.png") %}
Users (by chance). Coloured if q ≤ {{ "%g" | format(level) }}: the deeper, the more users than by chance; white cannot be
distinguished from chance. Fewer users than by chance are not tested.{% endcall %}
<details>
<summary>As a table</summary>
<div class="scroll">
<table class="sortable">
{{ heads("before", "after", "#users", "#by chance", "#p", "#q") }}
<tbody>{% for row in moves %}
<tr><td>{{ row.source }}</td><td>{{ row.destination }}</td>{{ num(row.users, formats.integer(row.users)) }}
{{ num(row.under_null, formats.decimal(row.under_null, 1)) }}{{ num(row.p, formats.p_value(row.p)) }}
{{ num(row.q, formats.p_value(row.q)) }}</tr>
{% endfor %}</tbody>
</table>
</div>
</details>
{% elif segments | length == 1 %}
<p class="quiet">With a single segment there are no moves.</p>
{% endif %}
"""

    def compute(self, context: Context) -> dict[str, pl.DataFrame]:
        segmentation, (brand, brands) = context.segmentation, context.brands
        table = describe_segments(context.shares, segmentation, context.table("users"), brand, brands)
        return {"segments": table, "moves": list_moves(segmentation)}

    def figures(self, report: ReportTables) -> "dict[str, go.Figure | None]":
        return {"moves": draw_interactive(report)}

    def images(self, report: ReportTables) -> "dict[str, Figure | None]":
        return {"moves": draw_image(report)}

    def variables(self, report: ReportTables) -> dict[str, Any]:
        moves = report["moves"].sort("q", "source", "destination", nulls_last=True)
        return {"segments": report["segments"].to_dicts(), "moves": moves.to_dicts()}


def describe_segments(
    shares: InterestShares, segmentation: Segmentation, users: pl.DataFrame, brand: np.ndarray, brands: list[str]
) -> pl.DataFrame:
    """Describe each segment: its users, what they prefer, and whether it moved.

    Args:
        shares: interest shares of all users in two windows.
        segmentation: segment of each user, and the tests.
        users: the table of users.
        brand: ``[I]`` brand of each item, -1 for none.
        brands: names of the brands.

    Returns:
        One row per segment.
    """
    log, interests = shares.log, shares.interests
    count = len(segmentation.names)
    lift, _ = compute_lifts(segmentation.user_segment, log.user, interests.item_interest[log.item], count, len(interests))
    branded = log.keep_events(brand[log.item] >= 0)
    brand_lift, brand_p = compute_lifts(
        segmentation.user_segment, branded.user, brand[branded.item], count, max(1, len(brands))
    )
    brand_q = benjamini_hochberg(brand_p.ravel()).reshape(brand_p.shape)
    counts = np.zeros((count, len(interests)))
    np.add.at(counts, (segmentation.user_segment[log.user], interests.item_interest[log.item]), 1)
    large = counts >= MIN_SHARE * counts.sum(1, keepdims=True)
    q = benjamini_hochberg(segmentation.p)
    rows = []
    for s, name in enumerate(segmentation.names):
        top = [k for k in np.argsort(-np.where(large[s], lift[s], 0), kind="stable")[:TOP] if large[s, k]]
        liked = [b for b in np.argsort(-brand_lift[s], kind="stable")[:TOP] if brand_lift[s, b] > 1] if brands else []
        members = users.filter(pl.Series(segmentation.user_segment == s))
        change = segmentation.change[s]
        moved = np.ptp(change) > 1e-6
        rows.append(
            {
                "segment": name,
                "users": members.height,
                "events": int(counts[s].sum()),
                "interests": [interests.names[k] for k in top],
                "lifts": [float(lift[s, k]) for k in top],
                "brands": [brands[b] for b in liked],
                "brand_lifts": [float(brand_lift[s, b]) for b in liked],
                "brand_q": [float(brand_q[s, b]) for b in liked],
                "tv": float(segmentation.tv[s]),
                "tv_under_null": float(segmentation.tv_under_null[s]),
                "p": float(segmentation.p[s]),
                "q": float(q[s]),
                "source": interests.names[int(change.argmin())] if moved else None,
                "destination": interests.names[int(change.argmax())] if moved else None,
                "migrated": members["verdict"].is_in([MIGRATED, BOTH]).sum(),
                "answered": (members["verdict"] != INSUFFICIENT_EVIDENCE).sum(),
            }
        )
    return pl.DataFrame(rows, schema=Segments.tables["segments"].schema)


def list_moves(segmentation: Segmentation) -> pl.DataFrame:
    """List the moves between every two segments.

    Args:
        segmentation: the segments and the moves between them.

    Returns:
        One row per pair of segments.
    """
    names = segmentation.names
    source, destination = (axis.ravel() for axis in np.indices(segmentation.moves.shape))
    p = np.where(source == destination, np.nan, segmentation.p_moves.ravel())
    return pl.DataFrame(
        {
            "source": [names[s] for s in source],
            "destination": [names[s] for s in destination],
            "users": segmentation.moves.ravel().astype(np.int64),
            "under_null": segmentation.moves_under_null.ravel(),
            "p": p,
            "q": benjamini_hochberg(p),
        }
    ).with_columns(pl.col("p", "q").fill_nan(None))


def colour_value(move: dict[str, Any], level: float) -> float:
    """Return the value that colours a move.

    The test is one-sided, so that fewer users than by chance are never significant.

    Args:
        move: a row of the table of moves.
        level: largest q-value that is coloured.

    Returns:
        Binary logarithm of users over users by chance, at most :data:`LIMIT`; 0 if not significant.
    """
    if move["q"] is None or move["q"] > level or move["under_null"] is None:
        return 0.0
    return max(0.0, min(LIMIT, log2((move["users"] + 0.5) / (move["under_null"] + 0.5))))


def draw_interactive(report: ReportTables) -> "go.Figure | None":
    """Draw the users by segment before and after as a heat map; white where q is above the level.

    Args:
        report: tables that may be shown.
    """
    import plotly.graph_objects as go

    from interestlab.reporting import number_formats as formats
    from interestlab.reporting.colours import INK, PALE, RED
    from interestlab.reporting.labels import escape
    from interestlab.reporting.plotly_figures import create_figure

    names = report["segments"]["segment"].to_list()
    if len(names) < 2 or report["moves"].is_empty():
        return None
    grid = {(row["source"], row["destination"]): row for row in report["moves"].iter_rows(named=True)}
    cells = [[grid.get((source, destination)) for destination in names] for source in names]

    def hover(cell: dict[str, Any]) -> str:
        return (
            f"<b>{escape(cell['source'])} → {escape(cell['destination'])}</b><br>n = {cell['users']:,} users, "
            f"{formats.decimal(cell['under_null'], 1)} by chance<br>{formats.p_and_q(cell['p'], cell['q'])}"
        )

    def text(cell: dict[str, Any]) -> str:
        return f"{cell['users']:,}<br>({formats.decimal(cell['under_null'], 1)})"

    written = [escape(name, 22) for name in names]
    title = {"text": "users against chance<br> ", "side": "top", "font": {"size": 12}}
    bar = {"title": title, "tickvals": [0, 1, 2], "thickness": 14, "ticktext": ["as chance", "twice", "4 times"]}
    heat = go.Heatmap(
        z=[[None if cell is None else colour_value(cell, report.level) for cell in row] for row in cells],
        x=list(range(len(names))),
        y=list(range(len(names))),
        text=[["" if cell is None else text(cell) for cell in row] for row in cells] if len(names) <= MAX_WRITTEN else None,
        texttemplate="%{text}" if len(names) <= MAX_WRITTEN else None,
        customdata=[["" if cell is None else hover(cell) for cell in row] for row in cells],
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


def draw_image(report: ReportTables) -> "Figure | None":
    """Draw the same heat map for a PNG.

    Args:
        report: tables that may be shown.
    """
    import matplotlib

    from interestlab.drift.report.image_style import CAPTION
    from interestlab.reporting.colours import RED
    from interestlab.reporting.labels import clip
    from interestlab.reporting.matplotlib_figures import create_figure
    from interestlab.reporting.number_formats import decimal

    names = report["segments"]["segment"].to_list()
    if len(names) < 2 or report["moves"].is_empty():
        return None
    grid = np.full((len(names), len(names)), np.nan)
    figure, [panel] = create_figure(1.4 + 0.5 * len(names))
    index = {name: i for i, name in enumerate(names)}
    for row in report["moves"].iter_rows(named=True):
        if row["source"] in index and row["destination"] in index:
            y, x = index[row["source"]], index[row["destination"]]
            grid[y, x] = colour_value(row, report.level)
            if len(names) <= MAX_WRITTEN:
                panel.text(x, y, f"{row['users']:,}\n({decimal(row['under_null'], 1)})", ha="center", va="center", fontsize=7)
    ramp = matplotlib.colors.LinearSegmentedColormap.from_list("moves", ["#ffffff", RED])
    image = panel.imshow(np.ma.masked_invalid(grid), cmap=ramp, vmin=0, vmax=LIMIT, aspect="auto")
    bar = figure.colorbar(image, ax=panel, ticks=[0, 1, 2])
    bar.ax.set_yticklabels(["as chance", "twice", "4 times"])
    panel.set_xticks(range(len(names)), [clip(name, 14) for name in names], rotation=30 if len(names) > 5 else 0)
    panel.set_yticks(range(len(names)), [clip(name) for name in names])
    panel.grid(False)
    panel.set_xlabel("segment after")
    panel.set_ylabel("segment before")
    panel.set_title(f"users (by chance); white where q > {report.level:g}", **CAPTION)
    return figure


section = Segments()
