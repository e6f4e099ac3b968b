"""One palette for all reports, and how names are assigned to its colours."""

from collections.abc import Sequence
from dataclasses import dataclass

INK, GREY, GRID, PALE = "#222222", "#767676", "#e6e6e6", "#d0d0d0"
"""Text, secondary text and frames, grid lines, and the fill of whatever is not significant."""

BLUE, RED, PURPLE = "#0072B2", "#D55E00", "#AA4499"
"""Blue and vermilion of Okabe and Ito's palette, which colour-blind readers can distinguish, and a purple."""

PALETTE = (BLUE, "#E69F00", "#009E73", RED, "#56B4E9", PURPLE, "#555555")
"""Okabe and Ito's palette without its yellow, which is illegible on white, and with a darker purple."""

DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "hexagon")


@dataclass(frozen=True)
class Style:
    """How a name is drawn, the same in every figure.

    Attributes:
        colour: ``#rrggbb``.
        dash: plotly's name of a line style.
        symbol: plotly's name of a marker.
    """

    colour: str
    dash: str
    symbol: str


DEFAULT_STYLE = Style(GREY, "solid", "circle-open")
"""For a name without a style of its own."""


def assign_styles(names: Sequence[str]) -> dict[str, Style]:
    """Give each name a style; once the colours are used up, names differ by dash and symbol.

    Args:
        names: in the order in which colours are assigned.

    Returns:
        Style by name.
    """
    turns = [divmod(i, len(PALETTE)) for i in range(len(names))]
    return {
        name: Style(PALETTE[i], DASHES[turn % len(DASHES)], SYMBOLS[(i + turn) % len(SYMBOLS)])
        for name, (turn, i) in zip(names, turns, strict=True)
    }


def with_alpha(colour: str, alpha: float) -> str:
    """Make a colour transparent.

    Args:
        colour: ``#rrggbb``.
        alpha: opacity, 0 to 1.

    Returns:
        CSS ``rgba(...)``.
    """
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
