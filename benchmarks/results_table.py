"""Print a Markdown table of runs: the mean over seeds with its interval, one row per configuration.

Runs whose folders differ only after the last ``-`` of their names are seeds of one configuration. The interval is Student's t
over seeds (none for a single seed). It does not cover the choice of users; for that see each run's ``metrics.json``. Runs with
different data fingerprints are rejected, since their results cannot be compared.

    python -m benchmarks.results_table runs/mi-id-ewma-0 runs/mi-id-ewma-1 ...
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.options import make_parser

METRICS = ("test/recall@10", "test/ndcg@10")
SEEDS = ("seed", "data_seed")
"""Entries of a fingerprint in which the runs may differ."""


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = make_parser(sys.modules[__name__], name="benchmarks.results_table")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs that were tested")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Print the table of the given runs."""
    runs = {run.name: json.loads((run / "metrics.json").read_text()) for run in parse_options(arguments).runs}
    fingerprints = {
        json.dumps({k: v for k, v in metrics["fingerprint"].items() if k not in SEEDS}, sort_keys=True)
        for metrics in runs.values()
    }
    if len(fingerprints) > 1:
        lines = "\n".join(sorted(fingerprints))
        sys.exit(f"these runs have different data fingerprints and cannot be compared:\n{lines}")
    print(format_table(runs))
    print("\nFingerprint: `" + ", ".join(f"{k}={v}" for k, v in json.loads(fingerprints.pop()).items()) + "`")


def format_table(runs: dict[str, dict[str, Any]]) -> str:
    """Return the Markdown table.

    Args:
        runs: metrics of each run, by the name of its folder.
    """
    from interestlab.stats.intervals import t_interval

    configurations: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, metrics in runs.items():
        configurations[name.rpartition("-")[0]].append(metrics)
    columns = " | ".join(metric.removeprefix("test/") for metric in METRICS)
    lines = [f"| run | seeds | {columns} |", "|---|---|" + "---|" * len(METRICS)]
    for name, seeds in configurations.items():
        cells = " | ".join(str(t_interval([seed[metric] for seed in seeds])) for metric in METRICS)
        lines.append(f"| {name} | {len(seeds)} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
