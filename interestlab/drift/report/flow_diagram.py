"""Layout of the diagram of flows, for plotly and matplotlib alike: positions of nodes and of the streams between them."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from interestlab.drift.report.tables import ReportTables

GAP = 0.035
"""Gap between two nodes of a column, as a share of the height."""

MAX_OVERALL, MAX_PER_STEP, MAX_FAINT = 40, 12, 12
"""Most streams from before to after, of each step between windows, and of those that are not significant."""


@dataclass(frozen=True)
class Node:
    """An interest in a column.

    Attributes:
        name: name of the interest.
        column: number of the column.
        size: the larger of its incoming and outgoing flow.
        top: upper edge, as a share of the height from above.
        bottom: lower edge.
    """

    name: str
    column: int
    size: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Stream:
    """A flow between two nodes.

    Attributes:
        source: index of the node.
        destination: index of the node.
        significant: whether q is at most the level.
        row: row of the table of flows.
    """

    source: int
    destination: int
    significant: bool
    row: dict[str, Any]


@dataclass(frozen=True)
class FlowLayout:
    """Nodes and streams of a diagram.

    Attributes:
        nodes: column by column.
        streams: significant ones first.
        columns: number of columns.
        significant: number of significant flows, drawn or not.
        tested: number of flows.
        faint: number of drawn streams that are not significant.
        scale: height of one unit of flow.
    """

    nodes: list[Node]
    streams: list[Stream]
    columns: int
    significant: int
    tested: int
    faint: int
    scale: float

    @property
    def most_nodes(self) -> int:
        """Number of nodes of the fullest column."""
        columns = [node.column for node in self.nodes]
        return max(map(columns.count, columns), default=0)


def lay_out_flows(report: ReportTables, overall: bool) -> FlowLayout:
    """Lay out the flows from before to after, or from window to window.

    A stream is as wide as its excess over chance. Significant flows are drawn; from before to after, some of the next largest
    are added as faint ones, if any flow is significant.

    Args:
        report: tables that may be shown.
        overall: draw the flows from before to after; otherwise from window to window.

    Returns:
        Positions of nodes and streams.
    """
    step = pl.col("step")
    tested = report["flows"].filter((step == -1) if overall else (step >= 0)).filter(pl.col("source") != pl.col("destination"))
    larger = tested.filter(pl.col("excess") > 0).sort("excess", "source", "destination", descending=[True, False, False])
    hits = larger.filter(pl.col("q") <= report.level)
    drawn = hits.group_by("step", maintain_order=True).head(MAX_OVERALL if overall else MAX_PER_STEP)
    drawn = drawn.sort("step", maintain_order=True)
    faint = larger.join(hits, on=["step", "source", "destination"], how="anti", maintain_order="left").head(MAX_FAINT)
    faint = faint if overall and hits.height else faint.clear()
    rows = [(row, True) for row in drawn.iter_rows(named=True)] + [(row, False) for row in faint.iter_rows(named=True)]
    size: dict[tuple[int, str], list[float]] = {}
    for row, _ in rows:
        column = max(0, row["step"])
        size.setdefault((column, row["source"]), [0, 0])[1] += row["excess"]
        size.setdefault((column + 1, row["destination"]), [0, 0])[0] += row["excess"]
    rank = {name: i for i, name in enumerate(report.interests)}
    order = sorted(size, key=lambda key: (key[0], rank.get(key[1], len(rank)), key[1]))
    columns = 1 + max((column for column, _ in order), default=-1)
    by_column = [[key for key in order if key[0] == column] for column in range(columns)]
    free = [1 - GAP * (len(keys) - 1) for keys in by_column]
    sums = [sum(max(size[key]) for key in keys) for keys in by_column]
    scale = min((room / total for room, total, keys in zip(free, sums, by_column, strict=True) if keys), default=1.0)
    nodes = []
    for keys, room, total in zip(by_column, free, sums, strict=True):
        y = (room - scale * total) / 2
        for key in keys:
            height = scale * max(size[key])
            nodes.append(Node(key[1], key[0], max(size[key]), y, y + height))
            y += height + GAP
    index = {key: i for i, key in enumerate(order)}
    streams = [
        Stream(index[max(0, row["step"]), row["source"]], index[max(0, row["step"]) + 1, row["destination"]], hit, row)
        for row, hit in rows
    ]
    return FlowLayout(nodes, streams, columns, hits.height, tested.height, faint.height, scale)


def column_titles(report: ReportTables, overall: bool, columns: int) -> list[str]:
    """Return the titles above the columns.

    Args:
        report: tables that may be shown.
        overall: draw the flows from before to after; otherwise from window to window.
        columns: number of columns.

    Returns:
        One title per column.
    """
    if overall:
        return ["before", "after"]
    windows = report.windows
    return [f"{windows[w][0]:%Y-%m-%d}" if w in windows else f"window {w + 1}" for w in range(columns)]
