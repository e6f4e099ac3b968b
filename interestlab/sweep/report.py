"""The report of a sweep: one self-contained page, and its parts as files."""

from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

from interestlab.reporting import number_formats
from interestlab.reporting.page import base64_images, flatten, optional_libraries, render, replace_pngs
from interestlab.reporting.provenance import compare_versions
from interestlab.sweep import comparison_table
from interestlab.sweep.compare import compare
from interestlab.sweep.comparison import FRONT_COSTS, Comparison
from interestlab.sweep.search.summary import markdown_searches, settings_text, summarise_searches
from interestlab.sweep.table import COSTS

PACKAGES = ("interestlab", "polars", "numpy", "torch", "matplotlib", "jinja2")
"""Packages whose versions the report states for itself."""


def write_report(folder: Path) -> Path:
    """Compare the trials of a sweep and write ``report/``: ``index.html``, ``table.md``, ``comparison.parquet`` and the plots.

    Args:
        folder: folder of the sweep; it contains ``sweep.yaml`` and ``results.parquet``.

    Returns:
        Path of the page. The same folder gives the same bytes, except for the versions of packages on the page.

    Raises:
        DataError: the trials cannot be compared (see :func:`interestlab.sweep.compare.compare`), or matplotlib or Jinja is
            not installed.
    """
    with optional_libraries("matplotlib", "jinja2"):
        import jinja2  # noqa: F401

        from interestlab.sweep.plots import draw_plots
        from interestlab.sweep.search.plots import draw_searches
    comparison = compare(folder)
    searches = summarise_searches(folder) if comparison.sweep.get("search") else []
    report = folder / "report"
    images = draw_plots(comparison) | draw_searches(searches)
    replace_pngs(report, images)
    (report / "table.md").write_text(comparison_table.markdown_table(comparison) + markdown_searches(searches), "utf-8")
    comparison_frame(comparison).write_parquet(report / "comparison.parquet")
    page = render(
        resources.files("interestlab.sweep").joinpath("report.html.j2").read_text("utf-8"),
        comparison=comparison,
        searches=searches,
        settings_text=settings_text,
        cells=comparison_table,
        formats=number_formats,
        images=base64_images(images),
        settings=flatten(comparison.sweep),
        versions=compare_versions(comparison.runs, PACKAGES),
    )
    (report / "index.html").write_text(page, "utf-8")
    return report / "index.html"


def comparison_frame(comparison: Comparison) -> pl.DataFrame:
    """Return the numbers of the main table without rounding.

    Args:
        comparison: comparison of a sweep.

    Returns:
        One row per configuration and metric.
    """
    rows = []
    for c in comparison.configurations:
        for metric in comparison.metrics:
            estimate, difference = c.metrics.get(metric), c.differences.get(metric)
            row: dict[str, Any] = {f"axis/{axis}": label for axis, label in c.labels.items()}
            row |= {"metric": metric, "is_baseline": c.is_baseline, "trials": c.trials, "done": c.done}
            row |= {"mean": estimate and estimate.mean, "seeds_half_width": estimate and estimate.half_width}
            row |= {
                "difference": difference and difference.over_seeds.mean,
                "difference_low": difference and difference.low,
                "difference_high": difference and difference.high,
                "difference_seeds": difference and len(difference.over_seeds.values),
                "difference_seeds_half_width": difference and difference.over_seeds.half_width,
                "p": difference and difference.p,
                "p_holm": difference and difference.p_holm,
            }
            row |= {name: c.costs.get(name) for name in COSTS} | {"tpme": c.tpme}
            row |= {f"on_front/{cost}": c.on_front.get(cost) for cost in FRONT_COSTS}
            rows.append(row)
    text = dict.fromkeys([f"axis/{axis}" for axis in comparison.axes] + ["metric"], pl.String)
    counts = dict.fromkeys(("trials", "done", "difference_seeds"), pl.Int64)
    flags = dict.fromkeys(("is_baseline", *(f"on_front/{cost}" for cost in FRONT_COSTS)), pl.Boolean)
    known = {**text, **counts, **flags}
    return pl.DataFrame(rows, schema={name: known.get(name, pl.Float64) for name in rows[0]} if rows else {})
