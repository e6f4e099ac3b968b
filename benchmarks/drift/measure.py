"""Measure all sections over all logs."""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.progress import Progress

from benchmarks.drift.changes import evaluate_changes
from benchmarks.drift.migration import evaluate_migration
from benchmarks.drift.momentum import evaluate_momentum
from benchmarks.drift.planted import MOVED, VISITS, Values, make_log
from benchmarks.drift.ranking import evaluate_ranking
from interestlab.utils.versions import run_versions


def measure(options: argparse.Namespace, progress: Progress) -> Values:
    """Measure the sections of ``--only``.

    Args:
        options: the command line, with the folder of the stores.
        progress: shows the logs.
    """
    values: Values = defaultdict(list)
    sections = set(options.only)
    logs = [(visit, moved, seed) for seed in range(options.seeds) for visit in VISITS for moved in MOVED]
    task = progress.add_task("logs", total=len(logs) + 1)
    for visit, moved, seed in logs:
        progress.update(task, description=f"visit {visit}, {moved}, seed {seed}")
        log, key = make_log(options, seed, visit, MOVED[moved]), (visit, moved)
        if sections & {"migration", "where", "evidence"}:
            evaluate_migration(options, values, log, key, seed)
        if "rank" in sections:
            evaluate_ranking(options, values, log, key, seed)
        if "changes" in sections and visit == 1:
            evaluate_changes(options, values, log, key, seed)
        progress.advance(task)
    if "momentum" in sections:
        progress.update(task, description="momentum")
        evaluate_momentum(options, values)
    progress.advance(task)
    return values


def describe_values(options: argparse.Namespace, values: Values, seconds: float) -> dict[str, Any]:
    """Return the results, as they are written to JSON.

    Args:
        options: the command line.
        values: the measurements.
        seconds: duration of the run.
    """
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
    figures = [{"what": list(key), "values": by_seed} for key, by_seed in values.items()]
    return {"settings": settings, "seconds": seconds, "versions": run_versions(), "figures": figures}
