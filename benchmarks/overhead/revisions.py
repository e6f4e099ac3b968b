"""Compare the overhead of two revisions in one run, with processes that take turns."""

import argparse
import json
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness.processes import ROOT, run_python
from benchmarks.harness.provenance import machine_line
from benchmarks.harness.tables import format_number, join_items, make_console, make_progress, make_table
from benchmarks.harness.timing import alternate, paired_ratios, summarize

MEASUREMENTS: dict[str, Callable[[dict[str, Any]], float]] = {
    "framework / bare": lambda r: float(r["ratio"]["median"]),
    "framework, targets per second": lambda r: float(r["targets_per_second"]["framework"]),
    "bare, targets per second": lambda r: float(r["targets_per_second"]["bare"]),
    "framework over bare, ms per step": lambda r: float(r["milliseconds_a_step_over_bare"]),
    "cold start, s": lambda r: float(r["start_seconds"]["cold"]),
    "second start, s": lambda r: float(r["start_seconds"]["second"]),
    "peak memory, MiB": lambda r: float(r["peak_memory_mb"]["trained"]),
}


def compare_revisions(options: argparse.Namespace) -> dict[str, Any]:
    """Run both revisions in turns, ``--rounds`` times each.

    Args:
        options: the command line, with ``--against``.

    Returns:
        every result of both revisions, and per measurement a summary of each and of their ratios, pair by pair.

    Raises:
        SystemExit: a run failed, or a revision would import interestlab from elsewhere.
    """
    other = options.against.resolve()
    arguments: list[str] = options.run_arguments
    other_arguments = arguments if options.against_options is None else shlex.split(options.against_options)
    revisions = {"this": (ROOT, arguments), "other": (other, other_arguments)}
    for checkout, _ in revisions.values():
        check_import(checkout)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in revisions}
    with make_progress() as progress:
        task = progress.add_task("", total=len(revisions) * options.rounds)
        for number, name in alternate(list(revisions), options.rounds):
            progress.update(task, description=f"{name} revision, round {number + 1}")
            runs[name].append(run_revision(*revisions[name]))
            ratio = runs[name][-1]["ratio"]["median"]
            progress.print(f"round {number + 1}, {name} revision: framework / bare {ratio:.3f}")
            progress.advance(task)
    return {
        "checkouts": {name: str(checkout) for name, (checkout, _) in revisions.items()},
        "measurements": compare_runs(runs["this"], runs["other"]),
        "runs": runs,
    }


def compare_runs(this: list[dict[str, Any]], other: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, per measurement, the summary of both revisions and of the ratios ``this / other``.

    Args:
        this: results of this revision, one per round.
        other: results of the other revision, one per round.
    """
    comparison = {}
    for name, read in MEASUREMENTS.items():
        values, others = [read(run) for run in this], [read(run) for run in other]
        ratios = summarize(paired_ratios(values, others)) if all(others) else None
        comparison[name] = {"this": summarize(values), "other": summarize(others), "this_over_other": ratios}
    return comparison


def print_comparison(comparison: dict[str, Any]) -> None:
    """Print both revisions side by side."""
    runs = comparison["runs"]
    rows = []
    for name, values in comparison["measurements"].items():
        cells = (values["this"], values["other"], values["this_over_other"])
        rows.append([name, *(_format_summary(cell) for cell in cells)])
    console = make_console()
    headings = ["median (min to max)", "this revision", "other revision", "this / other, by round"]
    console.print(make_table(f"{len(runs['this'])} runs of each revision, in turns", headings, rows))
    console.print(f"other: {comparison['checkouts']['other']}")
    console.print(f"{join_items(runs['this'][0]['log'])}; {machine_line(runs['this'][0]['machine'])}")


def _format_summary(summary: dict[str, float] | None) -> str:
    if summary is None:
        return "–"
    median, least, most = (format_number(summary[key], "{:.3f}") for key in ("median", "min", "max"))
    return f"{median} ({least} to {most})"


def run_revision(checkout: Path, arguments: list[str]) -> dict[str, Any]:
    """Run the benchmark from a checkout, and return its results."""
    script = checkout / "benchmarks/overhead.py"  # before the benchmarks became packages
    program: list[object] = [script] if script.exists() else ["-m", "benchmarks.overhead"]
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        run_python([*program, *arguments, f"--out={results}"], checkout)
        return dict(json.loads(results.read_text()))


def check_import(checkout: Path) -> None:
    """Check that a process of a checkout imports interestlab from there.

    Raises:
        SystemExit: it imports another copy, which would measure another revision.
    """
    file = Path(run_python(["-c", "import interestlab; print(interestlab.__file__)"], checkout).strip())
    if checkout.resolve() not in file.resolve().parents:
        raise SystemExit(f"the process of {checkout} imports interestlab from {file}")
