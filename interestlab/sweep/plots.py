"""Plots of a comparison. Drawn by matplotlib's objects on Agg: no display is needed and no state of pyplot is touched."""

import textwrap
from collections.abc import Callable, Sequence
from io import BytesIO
from itertools import pairwise, product
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox

from interestlab.sweep.cells import COST_NAMES, count, short
from interestlab.sweep.compare import Comparison, Configuration

INK, GREY, BLUE, RED = "#222222", "#767676", "#0072B2", "#D55E00"
"""Blue and vermilion of Okabe and Ito's palette, which those who see few colours can tell apart."""
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
    "grid.color": "#e6e6e6",
    "text.color": INK,
    "text.parse_math": False,  # a label may hold a dollar
    "xtick.color": INK,
    "ytick.color": INK,
}
NEAR = 8
AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
SIDES = {1: ("left", "bottom"), 0: ("center", "center"), -1: ("right", "top")}
"""Where a name stands beside its point: points away, directions, and how its text is aligned there."""
WIDTH, DPI = 7.5, 160
"""Inches and dots: 9 points are then read well at the width of a page of documentation."""


def plots(comparison: Comparison) -> dict[str, bytes]:
    """PNGs by file name; a plot for which nothing was measured is left out."""
    with matplotlib.rc_context(STYLE):
        drawn: dict[str, Figure | None] = {
            "quality.png": quality(comparison),
            "pareto_time.png": pareto(comparison, "seconds_per_epoch"),
            "pareto_parameters.png": pareto(comparison, "trainable_parameters"),
            "cost.png": cost(comparison),
        }
        return {name: png(figure) for name, figure in drawn.items() if figure is not None}


def png(figure: Figure) -> bytes:
    """The bytes of a figure, the same for the same figure."""
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def canvas(height: float, columns: int = 1, rows: Sequence[str] = ()) -> tuple[Figure, list[Axes]]:
    """A figure of panels that share their rows, the first row on top."""
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, columns, squeeze=False, sharey=bool(rows))[0]
    if rows:
        panels[0].set_yticks(range(len(rows)), [textwrap.fill(name, 28) for name in rows])
        panels[0].set_ylim(len(rows) - 0.4, -0.6)
    for panel in panels:
        panel.tick_params(length=0)
    return figure, list(panels)


def height(rows: int) -> float:
    """Inches of a figure with so many rows."""
    return 1.0 + 0.36 * rows


def quality(comparison: Comparison) -> Figure | None:
    """Each seed, the mean and its interval, one panel a metric."""
    measured = [c for c in comparison.configurations if c.metrics]
    if not measured:
        return None
    figure, panels = canvas(height(len(measured)), len(comparison.metrics), [c.name for c in measured])
    for panel, metric in zip(panels, comparison.metrics, strict=True):
        for y, c in enumerate(measured):
            estimate, colour = c.metrics[metric], RED if c.is_baseline else BLUE
            panel.plot(estimate.values, [y + 0.22] * len(estimate.values), "o", mfc="none", mec=GREY, ms=4.5, mew=0.8)
            panel.errorbar(estimate.mean, y, xerr=estimate.half_width, fmt="D", color=colour, ms=5, lw=1.6, capsize=3, zorder=3)
            if c.is_baseline:
                panel.axvline(estimate.mean, color=RED, lw=0.9, ls="--", zorder=1)
        panel.set_title(short(metric))
        panel.grid(False, axis="y")
        panel.xaxis.set_major_locator(MaxNLocator(5))
    baseline = " · dashed: baseline" * any(c.is_baseline for c in measured)
    figure.supxlabel(f"diamond: mean with 95% interval over seeds · circles: seeds{baseline}", fontsize=8, color=GREY)
    return figure


def pareto(comparison: Comparison, cost: str) -> Figure | None:
    """The first metric against a cost, with the front that no other is better and cheaper than."""
    metric = comparison.metrics[0]
    known = [c for c in comparison.configurations if cost in c.front]
    if not known:
        return None
    figure, [panel] = canvas(4.2)
    points = [(c.costs[cost], c.metrics[metric].mean) for c in known]
    edge = sorted(point for point, c in zip(points, known, strict=True) if c.front[cost])
    corners = [edge[0], *((x, y) for (_, below), (x, at) in pairwise(edge) for y in (below, at))]
    panel.plot(*zip(*corners, strict=True), color=BLUE, lw=1, alpha=0.5, zorder=1)
    for point, c in zip(points, known, strict=True):
        colour = RED if c.is_baseline else BLUE if c.front[cost] else GREY
        panel.plot(*point, "D" if c.is_baseline else "o", mec=colour, mfc=colour if c.front[cost] else "white", ms=7, mew=1.4)
    costs = [x for x, _ in points]
    if 0 < 10 * min(costs) < max(costs):
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(costs) < 1000 * min(costs) else (1,)))
        panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
    panel.margins(0.12)
    panel.set_xlabel(COST_NAMES[cost])
    panel.set_ylabel(f"{short(metric)}, mean over seeds")
    panel.set_title("filled: on the Pareto front · hollow: dominated · diamond: baseline", fontsize=8, color=GREY)
    write_names(figure, panel, points, corners, known)
    return figure


def write_names(
    figure: Figure,
    panel: Axes,
    points: Sequence[tuple[float, float]],
    line: Sequence[tuple[float, float]],
    configurations: Sequence[Configuration],
) -> None:
    """Write each name beside its point, at the nearest place around it where it covers no point, line or other name."""
    figure.canvas.draw()
    figure.set_layout_engine("none")  # what is placed now must not move
    spot = 5 * DPI / 72
    pixels = panel.transData.transform
    taken = [Bbox([pixels(point) - spot, pixels(point) + spot]) for point in points]
    taken += [Bbox([pixels(start), pixels(end)]) for start, end in pairwise(line)]

    # Those on a front first: they get the nearest places.
    order = sorted(zip(points, configurations, strict=True), key=lambda pair: not any(pair[1].front.values()))
    for point, c in order:
        for far, (dx, dy) in (*product((NEAR, 18, 30, 45, 60), AROUND), (NEAR, AROUND[0])):
            place: dict[str, Any] = {"xy": point, "xytext": (dx * far, dy * far), "textcoords": "offset points"}
            name = panel.annotate(textwrap.fill(c.name, 28), ha=SIDES[dx][0], va=SIDES[dy][1], fontsize=8, **place)
            box = name.get_window_extent()
            inside = panel.bbox.count_contains([box.p0, box.p1]) == 2
            if inside and not any(box.overlaps(other) for other in taken):
                if far > NEAR:
                    panel.annotate("", arrowprops={"arrowstyle": "-", "color": GREY, "lw": 0.5, "shrinkA": 0}, **place)
                break
            name.remove()
        else:  # nowhere is free
            panel.add_artist(name)
        taken.append(box)


def cost(comparison: Comparison) -> Figure | None:
    """What each costs: a panel a cost that is known, and TPME."""
    panels: dict[str, tuple[Callable[[Configuration], float | None], Callable[[float], str]]] = {
        "trainable_parameters": (lambda c: c.costs.get("trainable_parameters"), count),
        "seconds_per_epoch": (lambda c: c.costs.get("seconds_per_epoch"), lambda v: f"{v:,.3g}"),
        "peak_memory_mb": (lambda c: c.costs.get("peak_memory_mb"), lambda v: f"{v:,.0f}"),
        "tpme": (lambda c: c.tpme, lambda v: f"{v:.3f}"),
    }
    measured = [c for c in comparison.configurations if c.metrics]
    panels = {name: told for name, told in panels.items() if any(told[0](c) is not None for c in measured)}
    if not panels:
        return None
    figure, axes = canvas(height(len(measured)), len(panels), [c.name for c in measured])
    for panel, (name, (of, written)) in zip(axes, panels.items(), strict=True):
        values = [of(c) for c in measured]
        bars = panel.barh(
            range(len(measured)), [v or 0 for v in values], height=0.6, color=[RED if c.is_baseline else BLUE for c in measured]
        )
        panel.bar_label(bars, ["not known" if v is None else written(v) for v in values], padding=3, fontsize=8)
        panel.set_xlim(0, 1.45 * max([v for v in values if v], default=1))
        panel.set_xticks([])
        panel.grid(False)
        panel.spines["bottom"].set_visible(False)
        panel.set_title(textwrap.fill(COST_NAMES[name], 16))
    return figure
