"""Print the results."""

from typing import Any

from benchmarks.harness.provenance import machine_line
from benchmarks.harness.tables import join_items, make_console, make_table


def print_results(results: dict[str, Any]) -> None:
    """Print the results as a table."""
    console = make_console()
    console.print(f"{join_items(results['log'])}\n{join_items(results['settings'])}\n{machine_line(results['machine'])}")
    headings = ["steps without a refresh", "age", "bias", "bias of a refreshed table", "noise of one sample"]
    rows = [
        [
            f"{row['step']}",
            f"{row['age']:.1f}",
            *(f"{row[key]:.2f} ({row[f'{key}_error']:.2f})" for key in ("bias", "bias_refreshed")),
            f"{row['noise']:.2f}",
        ]
        for row in results["steps"]
    ]
    console.print(make_table(None, headings, rows))
    console.print("relative to the norm of the exact gradient; in parentheses the sampling error of the mean")
