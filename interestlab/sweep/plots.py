"""Plots of the comparison of a sweep."""

import textwrap
from collections.abc import Callable, Sequence
from itertools import pairwise, product
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from interestlab.reporting.colours import BLUE, GREY, RED
from interestlab.reporting.matplotlib_figures import DPI, STYLE, create_figure, height_of_rows, png_bytes
from interestlab.reporting.number_formats import si_prefix
from interestlab.sweep.comparison import Comparison, Configuration
from interestlab.sweep.comparison_table import COST_NAMES, short_name

LABEL_DISTANCES = (8, 18, 30, 45, 60)
LABEL_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
LABEL_ALIGNMENT = {1: ("left", "bottom"), 0: ("center", "center"), -1: ("right", "top")}
"""Candidate positions of a label around its point: distances in points, directions, and the alignment for each direction."""


def draw_plots(comparison: Comparison) -> dict[str, bytes]:
    """Draw all plots of a comparison.

    Args:
        comparison: comparison of a sweep.

    Returns:
        PNGs by file name; a plot without data is left out.
    """
    with matplotlib.rc_context(STYLE):
        drawn: dict[str, Figure | None] = {
            "quality.png": plot_quality(comparison),
            "pareto_time.png": plot_pareto_front(comparison, "seconds_per_epoch"),
            "pareto_parameters.png": plot_pareto_front(comparison, "trainable_parameters"),
            "cost.png": plot_costs(comparison),
        }
        return {name: png_bytes(figure) for name, figure in drawn.items() if figure is not None}


def plot_quality(comparison: Comparison) -> Figure | None:
    """Plot each seed, the mean and its interval, one panel per metric.

    Args:
        comparison: comparison of a sweep.

    Returns:
        None if no trial is finished.
    """
    measured = [c for c in comparison.configurations if c.metrics]
    if not measured:
        return None
    figure, panels = create_figure(height_of_rows(len(measured)), len(comparison.metrics), [c.name for c in measured])
    for panel, metric in zip(panels, comparison.metrics, strict=True):
        for y, c in enumerate(measured):
            estimate, colour = c.metrics[metric], RED if c.is_baseline else BLUE
            panel.plot(estimate.values, [y + 0.22] * len(estimate.values), "o", mfc="none", mec=GREY, ms=4.5, mew=0.8)
            panel.errorbar(estimate.mean, y, xerr=estimate.half_width, fmt="D", color=colour, ms=5, lw=1.6, capsize=3, zorder=3)
            if c.is_baseline:
                panel.axvline(estimate.mean, color=RED, lw=0.9, ls="--", zorder=1)
        panel.set_title(short_name(metric))
        panel.grid(False, axis="y")
        panel.xaxis.set_major_locator(MaxNLocator(5))
    baseline = " · dashed: baseline" * any(c.is_baseline for c in measured)
    figure.supxlabel(f"diamond: mean with 95% interval over seeds · circles: seeds{baseline}", fontsize=8, color=GREY)
    return figure


def plot_pareto_front(comparison: Comparison, cost: str) -> Figure | None:
    """Plot the first metric against a cost, with the Pareto front.

    Args:
        comparison: comparison of a sweep.
        cost: one of :data:`interestlab.sweep.comparison.FRONT_COSTS`.

    Returns:
        None if no trial recorded the cost.
    """
    metric = comparison.metrics[0]
    known = [c for c in comparison.configurations if cost in c.on_front]
    if not known:
        return None
    figure, [panel] = create_figure(4.2)
    points = [(c.costs[cost], c.metrics[metric].mean) for c in known]
    front = sorted(point for point, c in zip(points, known, strict=True) if c.on_front[cost])
    corners = [front[0], *((x, y) for (_, lower), (x, upper) in pairwise(front) for y in (lower, upper))]
    panel.plot(*zip(*corners, strict=True), color=BLUE, lw=1, alpha=0.5, zorder=1)
    for point, c in zip(points, known, strict=True):
        colour = RED if c.is_baseline else BLUE if c.on_front[cost] else GREY
        panel.plot(
            *point, "D" if c.is_baseline else "o", mec=colour, mfc=colour if c.on_front[cost] else "white", ms=7, mew=1.4
        )
    costs = [x for x, _ in points]
    if 0 < 10 * min(costs) < max(costs):
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(costs) < 1000 * min(costs) else (1,)))
        panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: si_prefix(value)))
    panel.margins(0.12)
    panel.set_xlabel(COST_NAMES[cost])
    panel.set_ylabel(f"{short_name(metric)}, mean over seeds")
    panel.set_title("filled: on the Pareto front · hollow: dominated · diamond: baseline", fontsize=8, color=GREY)
    write_labels(figure, panel, points, corners, known)
    return figure


def write_labels(
    figure: Figure,
    panel: Axes,
    points: Sequence[tuple[float, float]],
    line: Sequence[tuple[float, float]],
    configurations: Sequence[Configuration],
) -> None:
    """Label each point at the nearest free position, where the label covers no point, line or other label.

    Args:
        figure: the figure that contains the panel; its layout is fixed from here on.
        panel: the panel, with its points and line already drawn.
        points: one per configuration, in data coordinates.
        line: corners of the front, in data coordinates.
        configurations: the configurations to label.
    """
    figure.canvas.draw()
    figure.set_layout_engine("none")  # labels are placed in pixels, so the panels must not move afterwards
    radius = 5 * DPI / 72
    pixels = panel.transData.transform
    occupied = [Bbox([pixels(point) - radius, pixels(point) + radius]) for point in points]
    occupied += [Bbox([pixels(start), pixels(end)]) for start, end in pairwise(line)]

    nearest = LABEL_DISTANCES[0]
    candidates = (*product(LABEL_DISTANCES, LABEL_DIRECTIONS), (nearest, LABEL_DIRECTIONS[0]))
    # Points on a front first: they get the nearest positions.
    order = sorted(zip(points, configurations, strict=True), key=lambda pair: not any(pair[1].on_front.values()))
    for point, c in order:
        for distance, (dx, dy) in candidates:
            position: dict[str, Any] = {"xy": point, "xytext": (dx * distance, dy * distance), "textcoords": "offset points"}
            alignment: dict[str, Any] = {"ha": LABEL_ALIGNMENT[dx][0], "va": LABEL_ALIGNMENT[dy][1]}
            label = panel.annotate(textwrap.fill(c.name, 28), fontsize=8, **alignment, **position)
            box = label.get_window_extent()
            inside = panel.bbox.count_contains([box.p0, box.p1]) == 2
            if inside and not any(box.overlaps(other) for other in occupied):
                if distance > nearest:
                    panel.annotate("", arrowprops={"arrowstyle": "-", "color": GREY, "lw": 0.5, "shrinkA": 0}, **position)
                break
            label.remove()
        else:  # no position is free: use the last candidate, which repeats the first
            panel.add_artist(label)
        occupied.append(box)


def plot_costs(comparison: Comparison) -> Figure | None:
    """Plot the costs and TPME, one panel for each that is known.

    Args:
        comparison: comparison of a sweep.

    Returns:
        None if no cost was recorded.
    """
    panels: dict[str, tuple[Callable[[Configuration], float | None], Callable[[float], str]]] = {
        "trainable_parameters": (lambda c: c.costs.get("trainable_parameters"), si_prefix),
        "seconds_per_epoch": (lambda c: c.costs.get("seconds_per_epoch"), lambda v: f"{v:,.3g}"),
        "peak_memory_mb": (lambda c: c.costs.get("peak_memory_mb"), lambda v: f"{v:,.0f}"),
        "tpme": (lambda c: c.tpme, lambda v: f"{v:.3f}"),
    }
    measured = [c for c in comparison.configurations if c.metrics]
    panels = {name: panel for name, panel in panels.items() if any(panel[0](c) is not None for c in measured)}
    if not panels:
        return None
    figure, axes = create_figure(height_of_rows(len(measured)), len(panels), [c.name for c in measured])
    for panel, (name, (value_of, text_of)) in zip(axes, panels.items(), strict=True):
        values = [value_of(c) for c in measured]
        bars = panel.barh(
            range(len(measured)), [v or 0 for v in values], height=0.6, color=[RED if c.is_baseline else BLUE for c in measured]
        )
        panel.bar_label(bars, ["not known" if v is None else text_of(v) for v in values], padding=3, fontsize=8)
        panel.set_xlim(0, 1.45 * max([v for v in values if v], default=1))
        panel.set_xticks([])
        panel.grid(False)
        panel.spines["bottom"].set_visible(False)
        panel.set_title(textwrap.fill(COST_NAMES[name], 16))
    return figure
