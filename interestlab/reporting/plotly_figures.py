"""Layout of the reports' interactive figures."""

from typing import Any

import plotly.graph_objects as go

from interestlab.reporting.colours import GREY, GRID, INK

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


def create_figure(traces: list[Any], height: int, **layout: Any) -> go.Figure:
    """Create a plotly figure in the style of the reports.

    Args:
        traces: plotly traces.
        height: pixels.
        **layout: settings of plotly's layout, which replace the defaults; ``xaxis`` and ``yaxis`` are merged with them.

    Returns:
        The figure.
    """
    font = {"family": FONT, "size": 13, "color": INK}
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GREY, "automargin": True}
    defaults: dict[str, Any] = {
        "height": height,
        "template": go.layout.Template(),
        "font": font,
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "margin": {"l": 10, "r": 10, "t": 30, "b": 10},
        "hoverlabel": {"bgcolor": "#fff", "bordercolor": GREY, "font": font, "align": "left"},
    }
    for name in ("xaxis", "yaxis"):
        defaults[name] = axis | layout.pop(name, {})
    return go.Figure(traces, defaults | layout)
