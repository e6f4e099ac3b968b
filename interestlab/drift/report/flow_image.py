"""The diagram of flows for a PNG."""

from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline

from interestlab.drift.report.flow_diagram import FlowLayout, column_titles, lay_out_flows
from interestlab.drift.report.image_style import CAPTION
from interestlab.drift.report.tables import ReportTables
from interestlab.reporting.colours import DEFAULT_STYLE, GREY, PALE, assign_styles
from interestlab.reporting.labels import clip
from interestlab.reporting.matplotlib_figures import create_figure


def draw_flow_diagram(report: ReportTables, overall: bool) -> Figure | None:
    """Draw flows as curved streams between columns of nodes.

    Args:
        report: tables that may be shown.
        overall: draw the flows from before to after; otherwise from window to window.

    Returns:
        The figure; None without a significant flow.
    """
    layout = lay_out_flows(report, overall)
    if not layout.streams:
        return None
    figure, [panel] = create_figure(min(5.0, 1.0 + 0.5 * layout.most_nodes))
    styles = assign_styles(report.interests)
    width = 0.012 * (layout.columns - 1)
    for i, (start, end) in _stack_ends(layout).items():
        stream = layout.streams[i]
        x0, x1 = layout.nodes[stream.source].column + width, layout.nodes[stream.destination].column - width
        thickness, middle = layout.scale * stream.row["excess"], (x0 + x1) / 2
        corners = [(x0, start), (middle, start), (middle, end), (x1, end)]
        corners += [(x, y + thickness) for x, y in reversed(corners)]
        codes = [Outline.MOVETO, *[Outline.CURVE4] * 3, Outline.LINETO, *[Outline.CURVE4] * 3]
        colour = styles.get(stream.row["source"], DEFAULT_STYLE).colour if stream.significant else PALE
        panel.add_patch(PathPatch(Outline(corners, codes), facecolor=colour, alpha=0.42, edgecolor="none"))
    for node in layout.nodes:
        colour = styles.get(node.name, DEFAULT_STYLE).colour
        panel.add_patch(Rectangle((node.column - width, node.top), 2 * width, node.bottom - node.top, facecolor=colour))
        last = node.column == layout.columns - 1
        x = node.column + (-1.6 if last else 1.6) * width
        side = "right" if last else "left"
        name = clip(node.name, 22 if overall else 12)
        panel.text(x, (node.top + node.bottom) / 2, name, ha=side, va="center", fontsize=7.5 if overall else 6)
    for column, title in enumerate(column_titles(report, overall, layout.columns)):
        side = "left" if column == 0 else "right" if column == layout.columns - 1 else "center"
        panel.text(column, -0.03, title, ha=side, va="bottom", fontsize=8, color=GREY)
    panel.set_xlim(-2 * width, layout.columns - 1 + 2 * width)
    panel.set_ylim(1.01, -0.09)
    panel.set_axis_off()
    faint = " · pale: not distinguishable from chance" * bool(layout.faint)
    counted = f"{layout.significant} of {layout.tested} flows have q ≤ {report.level:g}"
    if len(layout.streams) - layout.faint < layout.significant:
        counted += ", the largest are drawn"
    figure.supxlabel(f"width: share of events that moved beyond chance; {counted}{faint}", **CAPTION)
    return figure


def _stack_ends(layout: FlowLayout) -> dict[int, tuple[float, float]]:
    """Upper edge of each stream at its source and at its destination; streams of one node are stacked."""
    left, right = [node.top for node in layout.nodes], [node.top for node in layout.nodes]
    streams = layout.streams
    order = sorted(range(len(streams)), key=lambda i: (streams[i].source, streams[i].destination))
    start, end = {}, {}
    for i in order:
        start[i] = right[streams[i].source]
        right[streams[i].source] += layout.scale * streams[i].row["excess"]
    for i in sorted(order, key=lambda i: (streams[i].destination, streams[i].source)):
        end[i] = left[streams[i].destination]
        left[streams[i].destination] += layout.scale * streams[i].row["excess"]
    return {i: (start[i], end[i]) for i in order}
