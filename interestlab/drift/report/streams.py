"""Flows as a diagram: where each node and each stream between two columns lies. Drawn by plotly and by matplotlib alike."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from interestlab.drift.report.reading import Tables

GAP = 0.035
"""Between two nodes of a column, of the height."""
DRAWN, EACH, FAINT = 40, 12, 12
"""At most so many streams over all, between two windows, and of those that are no finding."""


@dataclass(frozen=True)
class Node:
    """An interest in a column; ``bottom`` and ``top`` in parts of the height, 0 above."""

    name: str
    column: int
    size: float
    top: float
    bottom: float


@dataclass(frozen=True)
class Stream:
    """A flow between two nodes, by their places in the list."""

    source: int
    destination: int
    found: bool
    row: dict[str, Any]


@dataclass(frozen=True)
class Diagram:
    """Nodes and streams, and how many flows were found among how many tested."""

    nodes: list[Node]
    streams: list[Stream]
    columns: int
    found: int
    tested: int
    faint: int
    scale: float

    @property
    def most(self) -> int:
        """Nodes of the fullest column."""
        columns = [node.column for node in self.nodes]
        return max(map(columns.count, columns), default=0)


def diagram(tables: Tables, over_all: bool) -> Diagram:
    """The diagram from before to after over all, or of the windows in sequence.

    A stream is as wide as its excess over chance. Drawn are flows with q at most the level; over all, also some of the next
    largest as faint ones, if any was found at all.
    """
    step = pl.col("step")
    tested = tables.flows.filter((step == -1) if over_all else (step >= 0)).filter(pl.col("source") != pl.col("destination"))
    more = tested.filter(pl.col("excess") > 0).sort("excess", "source", "destination", descending=[True, False, False])
    found = more.filter(pl.col("q") <= tables.level)
    drawn = found.group_by("step", maintain_order=True).head(DRAWN if over_all else EACH).sort("step", maintain_order=True)
    faint = more.join(found, on=["step", "source", "destination"], how="anti", maintain_order="left").head(FAINT)
    faint = faint if over_all and found.height else faint.clear()
    rows = [(row, True) for row in drawn.iter_rows(named=True)] + [(row, False) for row in faint.iter_rows(named=True)]
    size: dict[tuple[int, str], list[float]] = {}
    for row, _ in rows:
        column = max(0, row["step"])
        size.setdefault((column, row["source"]), [0, 0])[1] += row["excess"]
        size.setdefault((column + 1, row["destination"]), [0, 0])[0] += row["excess"]
    place = {name: i for i, name in enumerate(tables.interests)}
    order = sorted(size, key=lambda key: (key[0], place.get(key[1], len(place)), key[1]))
    columns = 1 + max((column for column, _ in order), default=-1)
    held = [[key for key in order if key[0] == column] for column in range(columns)]
    scale = min(((1 - GAP * (len(keys) - 1)) / sum(max(size[key]) for key in keys) for keys in held if keys), default=1.0)
    nodes = []
    for keys in held:
        free = 1 - GAP * (len(keys) - 1) - scale * sum(max(size[key]) for key in keys)
        y = free / 2
        for key in keys:
            high = scale * max(size[key])
            nodes.append(Node(key[1], key[0], max(size[key]), y, y + high))
            y += high + GAP
    index = {key: i for i, key in enumerate(order)}
    streams = [
        Stream(index[max(0, row["step"]), row["source"]], index[max(0, row["step"]) + 1, row["destination"]], hit, row)
        for row, hit in rows
    ]
    return Diagram(nodes, streams, columns, found.height, tested.height, faint.height, scale)


def heads(tables: Tables, over_all: bool, columns: int) -> list[str]:
    """What stands above each column."""
    if over_all:
        return ["before", "after"]
    return [f"{tables.windows[w][0]:%Y-%m-%d}" if w in tables.windows else f"window {w + 1}" for w in range(columns)]
