"""Colours and frames that the figures share, and how they are written into a page."""

import html
import json
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from interestlab.drift.report.cells import clip
from interestlab.drift.verdicts import BOTH, EVOLVED, MIGRATED, NO_CHANGE
from interestlab.sweep.plots import BLUE, GREY, INK, RED

PURPLE, PALE = "#AA4499", "#d0d0d0"
COLOURS = (BLUE, "#E69F00", "#009E73", RED, "#56B4E9", PURPLE, "#555555")
"""Okabe and Ito's palette without its yellow, which white swallows, and with a darker purple."""
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "hexagon")
SHOWN = len(COLOURS)
"""How many names a figure shows before the reader asks for more."""
CHANGED = {MIGRATED: RED, BOTH: PURPLE, EVOLVED: BLUE, NO_CHANGE: "#8a8a8a"}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True)
class Mark:
    """How a name is drawn, the same in every figure; those beyond the colours differ by dash and symbol."""

    colour: str
    dash: str
    symbol: str


def marks(names: list[str]) -> dict[str, Mark]:
    """The mark of each name."""
    turns = [divmod(i, SHOWN) for i in range(len(names))]
    return {
        name: Mark(COLOURS[i], DASHES[turn % len(DASHES)], SYMBOLS[(i + turn) % len(SYMBOLS)])
        for name, (turn, i) in zip(names, turns, strict=True)
    }


OTHER = Mark(GREY, "solid", "circle-open")
"""Of a name that is not in the order."""


def safe(name: Any, most: int = 0) -> str:
    """A name as plotly shows it, which reads tags and entities in every text."""
    told = clip(str(name), most) if most else str(name)
    return html.escape(told, quote=False)


def pale(colour: str, alpha: float) -> str:
    """A colour that lets shine through."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


def frame(traces: list[Any], height: int, **layout: Any) -> go.Figure:
    """A figure in the page's look."""
    font = {"family": FONT, "size": 13, "color": INK}
    axis = {"gridcolor": "#e6e6e6", "zeroline": False, "linecolor": GREY, "automargin": True}
    told: dict[str, Any] = {
        "height": height,
        "template": go.layout.Template(),
        "font": font,
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "margin": {"l": 10, "r": 10, "t": 30, "b": 10},
        "hoverlabel": {"bgcolor": "#fff", "bordercolor": GREY, "font": font, "align": "left"},
    }
    for name in ("xaxis", "yaxis"):
        told[name] = axis | layout.pop(name, {})
    return go.Figure(traces, told | layout)


def encoded(value: go.Figure | list[Any] | dict[str, Any]) -> str:
    """JSON that can stand in a script of a page, whatever names it holds."""
    told = value.to_plotly_json() if isinstance(value, go.Figure) else value
    written = json.dumps(told, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    return written
