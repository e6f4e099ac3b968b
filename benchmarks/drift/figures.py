"""Figures of the results: one function per section."""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.drift.planted import LEVEL, MOVED, VISITS, Key, Values
from benchmarks.harness.figures import BLUE, GREY, RED, create_figure, log2_axis, png_bytes, report_style
from interestlab.stats.intervals import t_interval

GREEN = "#009E73"
WINDOW_LABEL, LENGTH_LABEL = "n, events per window", "L, sessions of a history"


def draw_figures(options: argparse.Namespace, values: Values) -> dict[str, bytes]:
    """Return PNGs by file name, of the sections of ``--only`` that have one."""
    with report_style():
        return {f"{name}.png": draw(options, values) for name, draw in FIGURES.items() if name in options.only}


def draw_migration(options: argparse.Namespace, values: Values) -> bytes:
    """Return power and false positives of the test of migration."""
    figure, panels = create_figure(3.2, 3)
    looks = {"span": (RED, "o-"), "tv": (BLUE, "s--"), "js": (GREY, "^:"), "tv, events": (GREEN, "D-.")}
    contents = (
        ("power: visit 1, all", 1, "all", "migrate"),
        ("power: visit 2, part", 2, "part", "migrate"),
        ("false positives: visit 2", 2, "part", "null"),
    )
    for panel, (title, visit, moved, kind) in zip(panels, contents, strict=True):
        for name, (colour, style) in looks.items():
            keys = [("migration", visit, moved, n, kind, name) for n in options.events]
            draw_line(panel, values, options.events, keys, colour, style, name)
        panel.set_title(title)
        panel.set_ylim(0, 1.02)
    panels[2].set_ylim(0, 0.8)
    panels[2].axhline(LEVEL, color=GREY, lw=0.8)
    return finish(figure, panels, options.events, WINDOW_LABEL)


def draw_ranking(options: argparse.Namespace, values: Values) -> bytes:
    """Return AUROC of the scores against null users."""
    figure, panels = create_figure(3.2, 2)
    vectors = options.vectors[0]
    looks = {"M excess": (RED, "o-"), "E excess": (BLUE, "o-"), "|M|": (RED, "s--"), "|E|": (BLUE, "s--")}
    for panel, visit in zip(panels, VISITS, strict=True):
        for score, (colour, style) in looks.items():
            keys = [("rank", visit, "all", n, vectors, score, "null") for n in options.events]
            draw_line(panel, values, options.events, keys, colour, style, score)
        panel.set_title(f"AUROC against null users: visit {visit}, {vectors}")
        panel.set_ylim(0.45, 1.02)
    return finish(figure, panels, options.events, WINDOW_LABEL)


def draw_changes(options: argparse.Namespace, values: Values) -> bytes:
    """Return F1 of the change-points."""
    figure, panels = create_figure(3.2, 2)
    looks = {"scan": (RED, "o-"), "PELT, penalty ln L": (GREY, "^:"), "online": (BLUE, "s--")}
    for panel, moved in zip(panels, MOVED, strict=True):
        for method, (colour, style) in looks.items():
            keys = [("changes", 1, moved, length, method, "F1") for length in options.lengths]
            draw_line(panel, values, options.lengths, keys, colour, style, method)
        panel.set_title(f"F1 within 10%: {moved}")
        panel.set_ylim(0, 1.02)
    return finish(figure, panels, options.lengths, LENGTH_LABEL)


def draw_evidence(options: argparse.Namespace, values: Values) -> bytes:
    """Return predicted and measured power."""
    figure, panels = create_figure(3.2, 2)
    for panel, visit in zip(panels, VISITS, strict=True):
        for moved, colour in zip(MOVED, (RED, BLUE), strict=True):
            for name, style in (("measured", "o-"), ("predicted", "s--")):
                keys = [("evidence", visit, moved, n, name) for n in options.events]
                draw_line(panel, values, options.events, keys, colour, style, f"{moved}, {name}")
        panel.set_title(f"power of the test of migration: visit {visit}")
        panel.set_ylim(0, 1.02)
    return finish(figure, panels, options.events, WINDOW_LABEL)


FIGURES: dict[str, Callable[[argparse.Namespace, Values], bytes]] = {
    "migration": draw_migration,
    "rank": draw_ranking,
    "changes": draw_changes,
    "evidence": draw_evidence,
}


def draw_line(
    panel: Any, values: Values, positions: Sequence[int], keys: Sequence[Key], colour: str, style: str, label: str
) -> None:
    """Draw means over seeds with their intervals.

    Args:
        panel: where to draw.
        values: the measurements.
        positions: positions on the horizontal axis.
        keys: key of the measurement at each position.
        colour: colour of the line.
        style: marker and line style.
        label: name in the legend.
    """
    known = [[value for value in values.get(key, []) if not math.isnan(value)] for key in keys]
    estimates = [t_interval(by_seed or [math.nan]) for by_seed in known]
    means, halves = [estimate.mean for estimate in estimates], [estimate.half_width or 0 for estimate in estimates]
    panel.errorbar(positions, means, halves, fmt=style, color=colour, ms=4, lw=1.3, capsize=2, label=label)


def finish(figure: Any, panels: Sequence[Any], positions: Sequence[int], label: str) -> bytes:
    """Add the legend and the horizontal axes, and return the PNG."""
    panels[-1].legend(fontsize=8, frameon=False)
    log2_axis(panels, positions, label)
    return png_bytes(figure)
