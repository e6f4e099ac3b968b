"""Print the results."""

from typing import Any

from benchmarks.harness.provenance import machine_line
from benchmarks.harness.tables import format_number, make_console, make_table, verdict

CPU_GOAL = 0.7e-3
RATIO_GOAL = 10


def print_results(results: dict[str, Any]) -> None:
    """Print one row for each server and rate, and the goals of the processor time."""
    console = make_console()
    headings = ["server", "requests/s", "failed", "p50, ms", "p99, ms", "p99.9, ms", "CPU/request, ms"]
    rows = []
    for row in results["rows"]:
        times = [format_number(1e3 * row[name]) for name in ("p50", "p99", "p99.9", "cpu_per_request")]
        rows.append([row["server"], format_number(row["rate"]), str(row["failed"]), *times])
    title = f"{results['users']:,} users, {results['items']:,} items, one event and ten items per request"
    console.print(make_table(title, headings, rows))
    own = [row["cpu_per_request"] for row in results["rows"] if row["server"] == "interestlab serve"]
    peer = [row["cpu_per_request"] for row in results["rows"] if row["server"] != "interestlab serve"]
    console.print(f"CPU per request: {verdict(max(own) <= CPU_GOAL, 'at most 0.7 ms')}")
    if peer:
        ratio = peer[0] / max(own)
        console.print(
            f"FastAPI around Recommender takes {ratio:.1f} times as much: {verdict(ratio >= RATIO_GOAL, 'at least 10')}"
        )
    console.print(results["note"].strip())
    console.print(machine_line(results["machine"]))
