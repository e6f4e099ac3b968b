"""Print the results."""

from typing import Any

from rich.table import Table

from benchmarks.harness.tables import make_console, make_table

GOALS = {"seconds": 300.0, "gib": 4.0}
"""Upper limits for 100,000 users of 50 events."""


def print_results(results: dict[str, Any]) -> None:
    """Print the results as tables."""
    console, sizes = make_console(), results["sizes"]
    console.print(size_table(sizes))
    console.print(part_table(sizes))
    if results["power"] is not None:
        time_power, memory_power = results["power"], results["memory_power"]
        console.print(f"time grows with events to the power {time_power:.2f}, peak memory {memory_power:.2f}")
    last = sizes[-1]
    is_met = last["total_seconds"] < GOALS["seconds"] and last["gib"] < GOALS["gib"]
    console.print(
        f"goal for 100,000 users x 50 events: less than {GOALS['seconds']:.0f} s and {GOALS['gib']:.0f} GiB; the largest size "
        f"here ({last['users']:,} users) {'meets' if is_met else 'misses'} it"
    )


def size_table(sizes: list[dict[str, Any]]) -> Table:
    """Return time and memory of each size."""
    headings = ["users", "events", "answered", "store: s", "GiB", "vectors, interests: s", "analysis: s", "all: s", "peak GiB"]
    rows = [
        [
            *(f"{size[k]:,}" for k in ("users", "events", "answered")),
            *(f"{size['store'][k]:.1f}" for k in ("seconds", "gib")),
            *(f"{seconds:.1f}" for seconds in (size["ready"]["seconds"], size["seconds"], size["total_seconds"])),
            f"{size['gib']:.2f}",
        ]
        for size in sizes
    ]
    return make_table("A whole analysis", headings, rows, text_columns=0)


def part_table(sizes: list[dict[str, Any]]) -> Table:
    """Return time and memory of the parts of the analysis."""
    headings = ["part", *(heading for size in sizes for heading in (f"{size['users']:,} users: s", "GiB"))]
    rows = []
    for name in sizes[-1]["parts"]:
        parts = [size["parts"][name] for size in sizes]
        rows.append([f"`{name}`", *(cell for part in parts for cell in (f"{part['seconds']:.1f}", f"{part['gib']:.2f}"))])
    return make_table("Its parts: seconds, and GiB at the peak until then", headings, rows)
