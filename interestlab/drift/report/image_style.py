"""Style of the PNGs: matplotlib's names of plotly's dashes and symbols, fonts, and axes of dates."""

from typing import Any

import polars as pl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from interestlab.reporting.colours import GREY
from interestlab.reporting.matplotlib_figures import STYLE

CAPTION: dict[str, Any] = {"fontsize": 8, "color": GREY}
LINE_STYLES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "x": "X",
    "star": "*",
    "hexagon": "h",
    "circle-open": "$\\circ$",
}
FALLBACK_FONTS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "PingFang SC", "Microsoft YaHei", "Noto Sans")
"""Fonts with the characters that DejaVu lacks, used if installed."""


def image_settings() -> dict[Any, Any]:
    """Return the settings for :func:`matplotlib.rc_context`."""
    installed = font_manager.get_font_names()
    return {**STYLE, "font.family": [STYLE["font.family"], *[name for name in FALLBACK_FONTS if name in installed]]}


def without_time_zone(time: pl.Expr) -> pl.Expr:
    """Drop the time zone, which matplotlib does not read from Polars.

    Args:
        time: an expression of datetimes in UTC.
    """
    return time.dt.replace_time_zone(None)


def format_dates(panel: Axes) -> None:
    """Write concise dates along the x axis.

    Args:
        panel: its x values are datetimes.
    """
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
