"""Figure of time and memory against events."""

from typing import Any

from benchmarks.drift_scale.report import GOALS
from benchmarks.harness.figures import BLUE, GREY, RED, create_figure, png_bytes, report_style

PART_STYLES = (("users", "s-"), ("changes", "^--"), ("segments", "v--"), ("flows", "D--"))
"""Parts that get a line, and its style."""


def draw_costs(results: dict[str, Any]) -> bytes:
    """Return the PNG."""
    sizes = results["sizes"]
    events = [size["events"] / 1e6 for size in sizes]
    with report_style():
        figure, (left, right) = create_figure(3.0, 2)
        left.plot(events, [size["total_seconds"] for size in sizes], "o-", color=RED, label="all")
        for name, style in PART_STYLES:
            seconds = [size["parts"][name]["seconds"] for size in sizes]
            left.plot(events, seconds, style, lw=1.2, ms=4, label=f"`{name}`")
        left.set_title("seconds of an analysis")
        left.legend(fontsize=8, frameon=False)
        right.plot(events, [size["gib"] for size in sizes], "o-", color=BLUE)
        right.set_title("GiB at the peak")
        right.axhline(GOALS["gib"], color=GREY, lw=0.9, ls="--")
        for panel in (left, right):
            panel.set_xlabel("million events")
            panel.set_xlim(0)
            panel.set_ylim(0)
        return png_bytes(figure)
