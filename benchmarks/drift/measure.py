"""Measure all sections over all logs."""

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.progress import Progress

from benchmarks.drift.changes import measure_changes
from benchmarks.drift.migration import measure_migration
from benchmarks.drift.momentum import measure_momentum
from benchmarks.drift.planted import MOVED, VISITS, Values, make_log
from benchmarks.drift.ranking import measure_ranking
from interestlab.training.callbacks.run_folder import versions


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
            measure_migration(options, values, log, key, seed)
        if "rank" in sections:
            measure_ranking(options, values, log, key, seed)
        if "changes" in sections and visit == 1:
            measure_changes(options, values, log, key, seed)
        progress.advance(task)
    if "momentum" in sections:
        progress.update(task, description="momentum")
        measure_momentum(options, values)
    progress.advance(task)
    return values


def describe_values(options: argparse.Namespace, values: Values, seconds: float) -> dict[str, Any]:
    """Return the results, as they are written to JSON.

    Args:
        options: the command line.
        values: the measurements.
        seconds: of the whole run.
    """
    settings = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
    figures = [{"what": list(key), "values": by_seed} for key, by_seed in values.items()]
    return {"settings": settings, "seconds": seconds, "versions": versions(), "figures": figures}
