"""Print the results."""

from typing import Any

from rich.table import Table

from benchmarks.dynamics.contenders import BASELINE
from benchmarks.harness.provenance import machine_line
from benchmarks.harness.tables import format_number, make_console, make_table


def print_results(results: dict[str, Any]) -> None:
    """Print the results as tables."""
    console = make_console()
    settings = ", ".join(f"{k} {v}" for k, v in results["settings"].items())
    console.print(f"{settings}\n{machine_line(results['machine'])}\n")
    console.print(length_table("ms per history, forward and backward", results, "passes", "ms", "pass_growth"))
    console.print(length_table(f"times `{BASELINE}`, forward and backward", results, "passes", "of_baseline"))
    console.print(length_table("ms per step of one user", results, "steps", "ms", "step_growth"))
    console.print(length_table("peak MiB per history, forward and backward", results, "passes", "peak_mb"))
    for label, result in results["dynamics"].items():
        if result["stopped"]:
            console.print(f"`{label}` was not measured at longer histories: {result['stopped']}")


def length_table(title: str, results: dict[str, Any], kind: str, key: str, growth_key: str | None = None) -> Table:
    """Return one measurement of every dynamics at every length.

    Args:
        title: printed above the table.
        results: of the benchmark.
        kind: ``passes`` or ``steps``.
        key: key of the measurement.
        growth_key: key of the last column; None: no such column.
    """
    lengths = results["settings"]["lengths"]
    headings = ["", *(f"T = {length}" for length in lengths), *(["growth"] if growth_key else [])]
    rows = []
    for label, result in results["dynamics"].items():
        values = {row["length"]: row[key] for row in result[kind]}
        last = [format_number(result[growth_key], "{:.2f}")] if growth_key else []
        rows.append([f"`{label}`", *(format_number(values.get(length)) for length in lengths), *last])
    return make_table(title, headings, rows)
