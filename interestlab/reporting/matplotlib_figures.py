"""Style and canvas of the reports' PNGs: matplotlib's objects on Agg, which need no display and leave pyplot's state alone."""

import textwrap
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from interestlab.reporting.colours import GREY, GRID, INK

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "text.color": INK,
    "text.parse_math": False,  # a label may contain a dollar sign
    "xtick.color": INK,
    "ytick.color": INK,
}
"""For :func:`matplotlib.rc_context`."""

WIDTH, DPI = 7.5, 160
"""Inches and dots per inch: a font of 9 points is then legible at the width of a documentation page."""


def create_figure(height: float, columns: int = 1, rows: Sequence[str] = ()) -> tuple[Figure, list[Axes]]:
    """Create a figure with panels side by side.

    Args:
        height: inches.
        columns: number of panels.
        rows: labels of the rows that all panels share, top to bottom; empty for an ordinary y axis.

    Returns:
        The figure and its panels.
    """
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, columns, squeeze=False, sharey=bool(rows))[0]
    if rows:
        panels[0].set_yticks(range(len(rows)), [textwrap.fill(name, 28) for name in rows])
        panels[0].set_ylim(len(rows) - 0.4, -0.6)
    for panel in panels:
        panel.tick_params(length=0)
    return figure, list(panels)


def height_of_rows(rows: int) -> float:
    """Return the height of a figure with one row per name.

    Args:
        rows: how many.

    Returns:
        Inches.
    """
    return 1.0 + 0.36 * rows


def png_bytes(figure: Figure) -> bytes:
    """Render a figure; the same figure gives the same bytes.

    Args:
        figure: matplotlib figure.

    Returns:
        A PNG file.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
