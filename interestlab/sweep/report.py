"""The report of a sweep: one page that needs nothing else, and the parts of it that are pasted elsewhere."""

import base64
import json
import platform
from collections.abc import Mapping
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from interestlab.errors import DataError
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
    try:
        from jinja2 import Environment, StrictUndefined

        from interestlab.sweep.plots import plots
    except ModuleNotFoundError as err:
        if err.name not in ("matplotlib", "jinja2"):
            raise
        raise DataError(f"the report needs {err.name}: pip install 'interestlab[report]'") from err
    comparison = compare(folder)
    report = folder / "report"
    report.mkdir(exist_ok=True)
    for old in report.glob("*.png"):  # a plot that is no longer drawn must not stay
        old.unlink()
    images = plots(comparison)
    for name, image in images.items():
        (report / name).write_bytes(image)
    (report / "table.md").write_text(cells.markdown(comparison), "utf-8")
    frame(comparison).write_parquet(report / "comparison.parquet")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(resources.files("interestlab.sweep").joinpath("report.html.j2").read_text("utf-8")).render(
        comparison=comparison,
        cells=cells,
        images={name: base64.b64encode(image).decode() for name, image in images.items()},
        settings=flat(comparison.sweep),
        versions=versions(comparison),
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


def flat(value: Any, name: str = "") -> dict[str, str]:
    """A nested setting as names and texts, as a table shows it."""
    if isinstance(value, Mapping) and value:
        return {k: v for key, inner in value.items() for k, v in flat(inner, f"{name}.{key}".lstrip(".")).items()}
    if isinstance(value, list):
        return {name: ", ".join(json.dumps(v, ensure_ascii=False) if isinstance(v, dict | list) else str(v) for v in value)}
    return {name: str(value)}


def versions(comparison: Comparison) -> dict[str, tuple[str, str]]:
    """Versions that the runs were made with, and that of the report, by package."""
    runs: dict[str, set[str]] = {}
    for run in comparison.runs:
        file = run / "versions.json"
        for name, told in (json.loads(file.read_text("utf-8")) if file.is_file() else {}).items():
            runs.setdefault(name, set()).add(told)
    mine = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    return {name: (", ".join(sorted(runs.get(name, ()))), mine.get(name, "")) for name in {**mine, **runs}}
