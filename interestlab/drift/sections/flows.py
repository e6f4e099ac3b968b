"""Flows: how much moved from which interest to which, before against after and from window to window."""

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from rich.progress import track

from interestlab.drift.context import Context
from interestlab.drift.flow import MIN_USERS, Flows, measure_flows, transport_cost
from interestlab.drift.population import catalogue_shift, to_datetimes
from interestlab.drift.report.flow_diagram import MAX_PER_STEP, column_titles, lay_out_flows
from interestlab.drift.report.tables import ReportTables
from interestlab.drift.section import INTEGER, NUMBER, TEXT, TIME, Column, Section, Table
from interestlab.drift.shares import InterestShares, sessions_since
from interestlab.stats.multiple_testing import benjamini_hochberg

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from matplotlib.figure import Figure

DRAWS = 49
"""Permutations of the flows: the p-value needs only their mean and variance."""

MIN_SESSIONS = 4
"""A user with fewer sessions in two windows is excluded: there are hardly any permutations."""

PROGRESS_EVENTS = 20_000
"""Number of events from which a progress bar is shown."""

NODE_THICKNESS = 14
"""Pixels."""


class FlowSection(Section):
    """Optimal transport between interests, averaged over users."""

    name = "flows"
    title = "Flows between interests"
    label = "Flows"
    order = 10
    after = ("users",)
    tables = {
        "flows": Table(
            "pair of interests and step",
            {
                "start": Column(TIME, "start of the first window"),
                "end": Column(TIME, "end of the second window"),
                "step": Column(INTEGER, "−1: from each user's first window to the second; n: from calendar window n to n + 1"),
                "source": Column(TEXT, "interest that events moved from"),
                "destination": Column(TEXT, "interest that they moved to"),
                "flow": Column(NUMBER, "share of a user's events that moved, mean over users"),
                "under_null": Column(NUMBER, "its mean over the permutations"),
                "excess": Column(NUMBER, "`flow` − `under_null`"),
                "p": Column(NUMBER, "p-value; null if fewer than 20 users have events of both interests"),
                "q": Column(NUMBER, "the same after correction over all flows"),
                "users": Column(INTEGER, "users that the mean is taken over"),
            },
        )
    }
    docs = """
For each user with at least 4 sessions, optimal transport with the cost 1 − cosine of the centroids divides the change of the shares
into flows from interest to interest, corrected for the catalogue shift; the flow is the mean over `--drift.flow_users` (500)
randomly sampled users. It is compared with 49 permutations of each user's sessions, to which a gamma distribution is fitted.
Flows pool users, so no single user needs sufficient evidence.
"""
    template = """
{% set over = flows["flows"] %}
{% if not over.tested %}
<p class="none">No flow between interests was measured.</p>
{% elif smallest_q is none %}
<p class="none">{{ labels.plural(over.tested, "flow") }} from before to after could not be tested: a test needs at least
{{ min_users }} users with events of both interests.</p>
{% elif not over.significant %}
<p class="none">None of {{ labels.plural(over.tested, "flow") }} from before to after is significant at q ≤ {{ "%g" | format(level) }}
(the smallest q of any flow is {{ formats.p_value(smallest_q) }}), so none is drawn.</p>
{% else %}
<p>{{ formats.integer(over.significant) }} of {{ labels.plural(over.tested, "flow") }} from before to after
{{ "has" if over.significant == 1 else "have" }} q ≤ {{ "%g" | format(level) }}. The other
{{ formats.integer(over.tested - over.significant) }} cannot be distinguished from chance: the {{ over.faint }} largest of them are
drawn pale, the rest are omitted.{% if over.streams | length - over.faint < over.significant %} Of the significant flows, the
{{ over.streams | length - over.faint }} largest are drawn.{% endif %}</p>
{% endif %}
{% if "flows" in figures %}
{% call figure("flows", "Flows between interests, from before to after, each as wide as its excess over chance", "flows.png") %}
Before and after the boundary of each user's history, over {{ labels.plural(meta.sampled_for_flows, "user") }}. The width of a flow is
the share of events that moved beyond chance. Point at a flow for its size, what chance gives, p, q and n.{% endcall %}
{% endif %}
{% set steps = flows["flows_windows"] %}
{% if "flows_windows" in figures %}
<h3>Window by window</h3>
<p>{{ formats.integer(steps.significant) }} of {{ labels.plural(steps.tested, "flow") }} between one window and the next
{{ "has" if steps.significant == 1 else "have" }} q ≤ {{ "%g" | format(level) }} and
{{ "is" if steps.significant == 1 else "are" }} drawn
{%- if steps.streams | length < steps.significant %} (at most the {{ most_per_step }} largest of each step: {{ steps.streams | length }}
in all){% endif %}; {{ formats.integer(steps.tested - steps.significant) }} are omitted.</p>
{% call figure("flows_windows", "Flows between interests, window by window", "flows_windows.png", least=14 * (steps.columns - 1)) %}
Each column is a window, named by its first day. A node without a flow on one side gained or lost nothing there beyond chance.
{% endcall %}
{% elif steps.tested and smallest_q is not none %}
<p class="none">Between one window and the next, none of {{ labels.plural(steps.tested, "flow") }} has q ≤ {{ "%g" | format(level) }}.</p>
{% endif %}
"""

    def compute(self, context: Context) -> dict[str, pl.DataFrame]:
        return {"flows": measure_all_flows(context)}

    def figures(self, report: ReportTables) -> "dict[str, go.Figure | None]":
        return {"flows": draw_interactive(report, True), "flows_windows": draw_interactive(report, False)}

    def images(self, report: ReportTables) -> "dict[str, Figure | None]":
        return {"flows": draw_image(report, True), "flows_windows": draw_image(report, False)}

    def variables(self, report: ReportTables) -> dict[str, Any]:
        smallest = report["flows"]["q"].min()
        layouts = {"flows": lay_out_flows(report, True), "flows_windows": lay_out_flows(report, False)}
        smallest_q = smallest if isinstance(smallest, float) else None
        return {"flows": layouts, "smallest_q": smallest_q, "most_per_step": MAX_PER_STEP, "min_users": MIN_USERS}


def measure_all_flows(context: Context) -> pl.DataFrame:
    """Measure the flows between each user's two windows, and from calendar window to calendar window.

    Args:
        context: context of the analysis.

    Returns:
        The table of flows.
    """
    log, interests, edges, rng = context.log, context.interests, context.window_edges, context.flow_rng
    cost = transport_cost(interests)

    def sample(shares: InterestShares) -> np.ndarray:
        sessions = np.diff(shares.log.session_offsets)
        both = (shares.sessions_after > 0) & (shares.sessions_after < sessions)
        users = np.flatnonzero((sessions >= MIN_SESSIONS) & both)
        return np.sort(rng.choice(users, min(context.settings.flow_users, len(users)), replace=False))

    def measure(shares: InterestShares, ratio: np.ndarray, step: int, start: int, end: int) -> pl.DataFrame:
        rows = list_flows(measure_flows(shares, sample(shares), cost, ratio, DRAWS, rng), interests.names)
        return rows.select(
            to_datetimes(np.full(rows.height, edges[start])).alias("start"),
            to_datetimes(np.full(rows.height, edges[end])).alias("end"),
            pl.lit(step, pl.Int64).alias("step"),
            pl.all(),
        )

    parts = [measure(context.shares, context.shift_ratio, -1, 0, -1)]
    steps = range(len(edges) - 2)
    for step in track(steps, "flows between windows", disable=len(log.time) < PROGRESS_EVENTS, transient=True):
        two_windows = log.keep_events((log.time >= edges[step]) & (log.time < edges[step + 2]))
        shares = InterestShares(two_windows, interests, sessions_since(two_windows, int(edges[step + 1])))
        ratio = catalogue_shift(shares, edges[step : step + 3]) if len(two_windows.time) else np.ones(0)
        parts.append(measure(shares, ratio, step, step, step + 2))
    table = pl.concat(parts)
    q = pl.Series("q", benjamini_hochberg(table["p"].fill_null(float("nan")).to_numpy()))
    return table.insert_column(table.columns.index("p") + 1, q.fill_nan(None))


def list_flows(flows: Flows, names: list[str]) -> pl.DataFrame:
    """List the pairs of interests with a flow or a test.

    Args:
        flows: matrices over the interests.
        names: names of the interests.

    Returns:
        One row per pair.
    """
    source, destination = np.nonzero((flows.flow > 0) | ~np.isnan(flows.p))
    return pl.DataFrame(
        {
            "source": [names[k] for k in source],
            "destination": [names[k] for k in destination],
            "flow": flows.flow[source, destination],
            "under_null": flows.under_null[source, destination],
            "excess": (flows.flow - flows.under_null)[source, destination],
            "p": flows.p[source, destination],
            "users": np.full(len(source), flows.users),
        },
        schema_overrides={"source": pl.String, "destination": pl.String, "users": pl.Int64},
    ).with_columns(pl.col("p").fill_nan(None))


def draw_interactive(report: ReportTables, overall: bool) -> "go.Figure | None":
    """Draw the flows beyond chance as a Sankey diagram.

    Args:
        report: tables that may be shown.
        overall: draw the flows from before to after; otherwise from window to window.
    """
    import plotly.graph_objects as go

    from interestlab.reporting import number_formats as formats
    from interestlab.reporting.colours import DEFAULT_STYLE, GREY, INK, PALE, assign_styles, with_alpha
    from interestlab.reporting.labels import escape
    from interestlab.reporting.plotly_figures import create_figure

    layout = lay_out_flows(report, overall)
    if not layout.streams:
        return None
    styles, top = assign_styles(report.interests), 34
    height = min(520 if overall else 640, 110 + 50 * layout.most_nodes)
    inner = height - top - 10
    hover = [
        f"<b>{escape(s.row['source'])} → {escape(s.row['destination'])}</b><br>"
        f"{formats.percent(s.row['flow'], 2)} of a user's events, {formats.percent(s.row['under_null'], 2)} by chance<br>"
        f"{formats.p_and_q(s.row['p'], s.row['q'])}, n = {formats.integer(s.row['users'])} users"
        + ("" if s.significant else "<br>not distinguishable from chance")
        for s in layout.streams
    ]
    edge = 0.001  # plotly ignores a coordinate of 0
    colours = [styles.get(s.row["source"], DEFAULT_STYLE).colour if s.significant else PALE for s in layout.streams]
    sankey = go.Sankey(
        arrangement="snap",
        node={
            "label": [escape(node.name, 24 if overall else 15) for node in layout.nodes],
            "color": [styles.get(node.name, DEFAULT_STYLE).colour for node in layout.nodes],
            "x": [min(1 - edge, max(edge, node.column / max(1, layout.columns - 1))) for node in layout.nodes],
            "y": [min(1 - edge, max(edge, (node.top + node.bottom) / 2)) for node in layout.nodes],
            "thickness": NODE_THICKNESS,
            "pad": 0.035 * inner,
            "line": {"width": 0},
            "customdata": [escape(node.name) for node in layout.nodes],
            "hovertemplate": "%{customdata}<extra></extra>",
        },
        link={
            "source": [s.source for s in layout.streams],
            "target": [s.destination for s in layout.streams],
            "value": [s.row["excess"] for s in layout.streams],
            "color": [with_alpha(colour, 0.42) for colour in colours],
            "customdata": hover,
            "hovertemplate": "%{customdata}<extra></extra>",
        },
        textfont={"size": 12, "color": INK},
    )
    titles = column_titles(report, overall, layout.columns)
    notes = []
    for i, title in enumerate(titles):
        x = i / max(1, layout.columns - 1)
        align = "left" if i == 0 else "right" if i == len(titles) - 1 else "center"
        note = {"text": f"<b>{escape(title)}</b>", "x": x, "y": 1, "xref": "paper", "yref": "paper", "xanchor": align}
        notes.append(note | {"yanchor": "bottom", "yshift": 6, "showarrow": False, "font": {"size": 12, "color": GREY}})
    return create_figure([sankey], height, annotations=notes, margin={"l": 10, "r": 10, "t": top, "b": 10})


def draw_image(report: ReportTables, overall: bool) -> "Figure | None":
    """Draw the same diagram for a PNG.

    Args:
        report: tables that may be shown.
        overall: draw the flows from before to after; otherwise from window to window.
    """
    from interestlab.drift.report.flow_image import draw_flow_diagram

    return draw_flow_diagram(report, overall)


section = FlowSection()
