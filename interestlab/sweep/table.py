"""The trials of a sweep as one table: settings, status, metrics and costs."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from interestlab.sweep.running import read_record, run_folder
from interestlab.sweep.spec import Spec
from interestlab.sweep.trials import Trial, readable_name

COSTS = {
    "trainable_parameters": pl.Int64,
    "parameters": pl.Int64,
    "epochs": pl.Int64,
    "steps": pl.Int64,
    "seconds": pl.Float64,
    "seconds_per_epoch": pl.Float64,
    "peak_memory_mb": pl.Float64,
}
"""Columns from ``cost.json`` of a run; a comparison averages them over the trials."""

SEEDS = ("seed", "data_seed", "ties_seed")
"""Entries of a fingerprint that differ between the seeds of a sweep, and do not describe its data."""


def results_table(spec: Spec, trials: Sequence[Trial], folder: Path) -> pl.DataFrame:
    """Collect the results of a sweep.

    Args:
        spec: the sweep.
        trials: its trials.
        folder: folder of the sweep.

    Returns:
        One row per trial: ``trial``, ``axis/NAME``, ``seed``, ``status`` (done, failed or missing), ``reason``,
        ``fingerprint``, the metrics under their own names, the costs, and ``run``, the folder of its run. Combinations that
        have no trials, because their search chose no settings, have rows with the status missing.
    """
    rows = [read_row(trial, folder) for trial in trials]
    known = [trial.labels for trial in trials]
    rows += [(row, {}) for labels in spec.combinations if labels not in known for row in rows_without_settings(spec, labels)]
    metrics = dict.fromkeys([*spec.metrics, *sorted({name for _, measured in rows for name in measured})], pl.Float64)
    schema = (
        {"trial": pl.String}
        | {f"axis/{axis}": pl.String for axis in spec.axes}
        | {"seed": pl.Int64, "status": pl.String, "reason": pl.String, "fingerprint": pl.String}
        | metrics
        | COSTS
        | {"run": pl.String}
    )
    return pl.DataFrame([row | measured for row, measured in rows], schema=schema)


def rows_without_settings(spec: Spec, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows of a combination whose search chose no settings.

    Args:
        spec: the sweep.
        labels: label of each axis.
    """
    row: dict[str, Any] = {f"axis/{axis}": label for axis, label in labels.items()}
    row |= {"status": "missing", "reason": "its search has chosen no settings", "run": ""}
    return [row | {"trial": f"{readable_name(spec, labels)}-seed{seed}", "seed": seed} for seed in spec.seeds]


def read_row(trial: Trial, folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """Read the results of one trial.

    Args:
        trial: the trial.
        folder: folder of the sweep.

    Returns:
        The columns of its row apart from the metrics, and the metrics.
    """
    run, record = run_folder(folder, trial.id), read_record(folder, trial.id)
    row: dict[str, Any] = {"trial": trial.id, "seed": trial.seed, "run": run.relative_to(folder).as_posix()}
    row |= {f"axis/{axis}": label for axis, label in trial.labels.items()}
    row |= {"status": record.status if record else "missing", "reason": record.reason if record else None}
    if record is None or record.status == "failed":
        return row, {}
    measured = json.loads((run / "metrics.json").read_text("utf-8"))
    fingerprint = {key: value for key, value in measured["fingerprint"].items() if key not in SEEDS}
    row["fingerprint"] = json.dumps(fingerprint, sort_keys=True, ensure_ascii=False)
    cost = run / "cost.json"
    costs = json.loads(cost.read_text("utf-8")) if cost.exists() else {}
    row |= {name: costs[name] for name in COSTS if name in costs}
    return row, {name: value for name, value in measured.items() if isinstance(value, int | float)}
