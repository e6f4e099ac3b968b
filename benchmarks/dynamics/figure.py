"""Figure of the cost against the length of the history."""

from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.dynamics.contenders import BASELINE
from benchmarks.harness.figures import GREY, RED, create_figure, log2_axis, png_bytes, report_style

COLOURS = ("#999999", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#8c6d31", "#222222", "#6a3d9a", "#0072B2")
"""Readable colours of Okabe and Ito's palette on white, and some more; vermilion is the baseline's."""
STYLES, MARKERS = ("-", "--", ":"), "os^vDP"


def draw_costs(results: dict[str, Any]) -> bytes:
    """Return the PNG of the time of a pass and of a step against T, on logarithmic axes."""
    lengths = results["settings"]["lengths"]
    with report_style():
        figure, (left, right) = create_figure(5.4, 2)
        for panel, kind in ((left, "passes"), (right, "steps")):
            draw_lines(panel, results, kind)
            panel.set_yscale("log")
            log2_axis([panel], lengths, "T, events per history")
            panel.yaxis.set_major_formatter("{x:g}")
        left.set_title("ms per history, forward and backward")
        right.set_title("ms per step of one user")
        draw_slopes(left, lengths)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
        return png_bytes(figure)


def draw_lines(panel: Any, results: dict[str, Any], kind: str) -> None:
    """Draw one line per contender: one colour per dynamics, one line style per variant.

    Args:
        panel: where to draw.
        results: of the benchmark.
        kind: ``passes`` or ``steps``.
    """
    variants = Counter[str]()
    others = [name for name in dict.fromkeys(result["name"] for result in results["dynamics"].values()) if name != BASELINE]
    looks = {BASELINE: (RED, "*")} | {name: (c, m) for name, c, m in zip(others, cycle(COLOURS), cycle(MARKERS))}
    for label, result in results["dynamics"].items():
        (colour, marker), rows = looks[result["name"]], result[kind]
        style = STYLES[variants[result["name"]] % len(STYLES)]
        variants[result["name"]] += 1
        lengths, times = [row["length"] for row in rows], [row["ms"] for row in rows]
        panel.plot(lengths, times, style, marker=marker, color=colour, ms=3.5, lw=1.3, label=label)


def draw_slopes(panel: Any, lengths: Sequence[int]) -> None:
    """Draw a linear and a quadratic slope for comparison, below the lines on the right."""
    ends, low = np.array([lengths[len(lengths) // 2], lengths[-1]]), 2 * panel.get_ylim()[0]
    for slope, name in ((1, "∝ T"), (2, "∝ T²")):
        heights = low * (ends / ends[0]) ** float(slope)
        panel.plot(ends, heights, color=GREY, lw=0.8, zorder=0)
        above = {"xytext": (0, 4), "textcoords": "offset points"}
        panel.annotate(name, (ends[-1], heights[-1]), color=GREY, fontsize=8, ha="right", **above)
