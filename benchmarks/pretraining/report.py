"""Print the results."""

import statistics
from typing import Any

from benchmarks.harness.provenance import machine_line
from benchmarks.harness.tables import format_number, join_items, make_console, make_table
from benchmarks.pretraining.measure import LABELS, paired_difference
from interestlab.stats.intervals import t_interval


def print_results(results: dict[str, Any]) -> None:
    """Print the results as a table."""
    console = make_console()
    settings = {name: value for name, value in results["settings"].items() if not isinstance(value, list)}
    console.print(f"{results['reviews']:,} distinct reviews; {join_items(settings)}\n{machine_line(results['machine'])}")
    seeds = [seed["rows"] for seed in results["seeds"]]
    seconds = sum(seed["cpu_seconds"] for seed in results["seeds"])
    reference = "new tokens" if "new tokens" in seeds[0] else "base"
    headings = ["vectors", "perplexity before", "after", *(f"{label}{end}" for label in LABELS for end in ("", ": difference"))]
    rows = []
    for name in seeds[0]:
        cells = [name, *(perplexity(seeds, name, when) for when in ("before", "after"))]
        for label in LABELS:
            correct = [seed[name][label] for seed in seeds]
            cells.append(str(t_interval([statistics.fmean(values) for values in correct])))
            mean, half = paired_difference(correct, [seed[reference][label] for seed in seeds])
            cells.append("–" if name == reference else f"{mean:+.4f} ± {half:.4f}")
        rows.append(cells)
    console.print(make_table(None, headings, rows))
    tested = len(seeds[0]["base"]["sentiment"])
    console.print(
        f"{len(seeds)} seeds, {tested} test reviews each; accuracy: mean ± Student's 95% interval over seeds; differences from "
        f"{reference}; {seconds:,} CPU seconds"
    )


def perplexity(seeds: list[dict[str, Any]], name: str, when: str) -> str:
    """Return the mean perplexity over seeds, as a cell."""
    values = [seed[name].get(when, {}).get("heldout/perplexity") for seed in seeds]
    return format_number(statistics.fmean(values) if None not in values else None)
