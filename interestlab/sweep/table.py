"""The trials of a sweep as one table: what was asked, how it ended, what it measured and what it cost."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from interestlab.sweep.running import record, run_folder
from interestlab.sweep.spec import Spec
from interestlab.sweep.trials import Trial

COSTS = {
    "trainable_parameters": pl.Int64,
    "parameters": pl.Int64,
    "epochs": pl.Int64,
    "steps": pl.Int64,
    "seconds": pl.Float64,
    "seconds_per_epoch": pl.Float64,
    "peak_memory_mb": pl.Float64,
}
"""What ``cost.json`` of a run may tell."""

SEEDS = ("seed", "data_seed", "ties_seed")
"""What tells the seeds of a sweep apart in a fingerprint, and not its data."""


def gather(spec: Spec, trials: Sequence[Trial], folder: Path) -> pl.DataFrame:
    """A row a trial of the spec: ``trial``, ``axis/NAME``, ``seed``, ``status`` (done, failed or missing), ``reason``,
    ``fingerprint``, the metrics by their own names, the costs, and ``run``, its folder.
    """
    rows = [row(trial, folder) for trial in trials]
    metrics = dict.fromkeys([*spec.metrics, *sorted({name for _, found in rows for name in found})], pl.Float64)
    schema = (
        {"trial": pl.String}
        | {f"axis/{axis}": pl.String for axis in spec.axes}
        | {"seed": pl.Int64, "status": pl.String, "reason": pl.String, "fingerprint": pl.String}
        | metrics
        | COSTS
        | {"run": pl.String}
    )
    return pl.DataFrame([told | found for told, found in rows], schema=schema)


def row(trial: Trial, folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """What is known of a trial, and its metrics."""
    run, ended = run_folder(folder, trial.id), record(folder, trial.id)
    told: dict[str, Any] = {"trial": trial.id, "seed": trial.seed, "run": run.relative_to(folder).as_posix()}
    told |= {f"axis/{axis}": label for axis, label in trial.labels.items()}
    told |= {"status": ended.status if ended else "missing", "reason": ended.reason if ended else None}
    if ended is None or ended.status == "failed":
        return told, {}
    measured = json.loads((run / "metrics.json").read_text("utf-8"))
    fingerprint = {key: value for key, value in measured["fingerprint"].items() if key not in SEEDS}
    told["fingerprint"] = json.dumps(fingerprint, sort_keys=True, ensure_ascii=False)
    cost = run / "cost.json"
    costs = json.loads(cost.read_text("utf-8")) if cost.exists() else {}  # older runs have none
    told |= {name: costs[name] for name in COSTS if name in costs}
    return told, {name: value for name, value in measured.items() if isinstance(value, int | float)}
