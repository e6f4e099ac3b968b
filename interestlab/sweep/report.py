"""The report of a sweep: one page that needs nothing else, and the parts of it that are pasted elsewhere."""

from importlib import resources
from pathlib import Path
from typing import Any

import polars as pl

from interestlab.reporting import number_formats
from interestlab.reporting.page import base64_images, flatten, optional_libraries, render, replace_pngs
from interestlab.reporting.provenance import compare_versions
from interestlab.sweep import cells
from interestlab.sweep.compare import COSTS, FRONTS, Comparison, compare

PACKAGES = ("interestlab", "polars", "numpy", "torch", "matplotlib", "jinja2")
"""Whose versions the report tells of itself."""


def write_report(folder: Path) -> Path:
    """Compare a sweep's trials and write ``report/``: ``index.html``, ``table.md``, ``comparison.parquet`` and the plots.

    Args:
        folder: of the sweep; it holds ``sweep.yaml`` and ``results.parquet``.

    Returns:
        where the page is. The same folder gives the same bytes, but for the versions that the page tells.

    Raises:
        DataError: the trials cannot be compared (see :func:`interestlab.sweep.compare.compare`), or matplotlib or Jinja
            are not installed.
    """
    with optional_libraries("matplotlib", "jinja2"):
        import jinja2  # noqa: F401

        from interestlab.sweep.plots import plots
    comparison = compare(folder)
    report = folder / "report"
    images = plots(comparison)
    replace_pngs(report, images)
    (report / "table.md").write_text(cells.markdown(comparison), "utf-8")
    frame(comparison).write_parquet(report / "comparison.parquet")
    page = render(
        resources.files("interestlab.sweep").joinpath("report.html.j2").read_text("utf-8"),
        comparison=comparison,
        cells=cells,
        formats=number_formats,
        images=base64_images(images),
        settings=flatten(comparison.sweep),
        versions=compare_versions(comparison.runs, PACKAGES),
    )
    (report / "index.html").write_text(page, "utf-8")
    return report / "index.html"


def frame(comparison: Comparison) -> pl.DataFrame:
    """A row a configuration and metric: what the main table rounds."""
    rows = []
    for c in comparison.configurations:
        for metric in comparison.metrics:
            estimate, difference = c.metrics.get(metric), c.differences.get(metric)
            row: dict[str, Any] = {f"axis/{axis}": label for axis, label in c.labels.items()}
            row |= {"metric": metric, "is_baseline": c.is_baseline, "trials": c.trials, "done": c.done}
            row |= {"mean": estimate and estimate.mean, "seeds_half": estimate and estimate.half_width}
            row |= {
                "difference": difference and difference.seeds.mean,
                "difference_low": difference and difference.low,
                "difference_high": difference and difference.high,
                "difference_seeds": difference and len(difference.seeds.values),
                "difference_seeds_half": difference and difference.seeds.half_width,
                "p": difference and difference.p,
                "p_holm": difference and difference.p_holm,
            }
            row |= {name: c.costs.get(name) for name in COSTS} | {"tpme": c.tpme}
            row |= {f"front/{cost}": c.front.get(cost) for cost in FRONTS}
            rows.append(row)
    axes = dict.fromkeys([f"axis/{axis}" for axis in comparison.axes] + ["metric"], pl.String)
    counts = dict.fromkeys(("trials", "done", "difference_seeds"), pl.Int64)
    flags = dict.fromkeys(("is_baseline", *(f"front/{cost}" for cost in FRONTS)), pl.Boolean)
    known = {**axes, **counts, **flags}
    return pl.DataFrame(rows, schema={name: known.get(name, pl.Float64) for name in rows[0]} if rows else {})
