"""Compare the configurations of a sweep: over seeds, over users, and by cost.

Only trials with the same data fingerprint are compared, and only metrics that their ``ranks.parquet`` confirms.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from interestlab.errors import DataError
from interestlab.metrics import TARGET_GROUPS
from interestlab.stats.bootstrap import paired_bootstrap
from interestlab.stats.intervals import t_interval
from interestlab.stats.multiple_testing import holm
from interestlab.sweep.comparison import FRONT_COSTS, Comparison, Configuration, Difference
from interestlab.sweep.cost import pareto_front, tpme
from interestlab.sweep.table import COSTS
from interestlab.sweep.user_metrics import UserMetrics


def compare(folder: Path) -> Comparison:
    """Compare the trials of a sweep.

    Args:
        folder: folder of the sweep; it contains ``sweep.yaml`` and ``results.parquet``.

    Returns:
        All configurations with their metrics, differences to the baseline and costs.

    Raises:
        DataError: the folder is not that of a sweep, the trials have different data, or the ranks of a trial do not give its
            metrics.
    """
    for name in ("sweep.yaml", "results.parquet"):
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is missing: is {folder} the folder of a sweep that has run?")
    sweep = yaml.safe_load((folder / "sweep.yaml").read_text("utf-8"))
    metrics = sweep.get("metrics") or ["test/recall@10", "test/ndcg@10"]
    trials = pl.read_parquet(folder / "results.parquet", glob=False)
    axes = [name for name in trials.columns if name.startswith("axis/")]
    done = trials.filter(pl.col("status") == "done")
    check_trials(done, axes, metrics)
    fingerprint = shared_fingerprint(done)

    parts = trials.partition_by(axes, maintain_order=True) if axes else [trials]
    labels = [{axis.removeprefix("axis/"): str(part[axis][0]) for axis in axes} for part in parts]
    baseline = find_baseline(sweep.get("baseline"), labels)
    users = UserMetrics(folder, metrics)
    if baseline is not None:
        users.read_baseline(parts[baseline])
    configurations = [
        summarise(part, label, metrics, users, i == baseline) for i, (part, label) in enumerate(zip(parts, labels, strict=True))
    ]
    return Comparison(
        sweep=sweep,
        metrics=metrics,
        axes={axis.removeprefix("axis/"): trials[axis].unique(maintain_order=True).cast(pl.String).to_list() for axis in axes},
        configurations=correct_p_values(rate_costs(configurations, metrics[0])),
        unfinished=trials.filter(pl.col("status") != "done").select("trial", *axes, "seed", "status", "reason").to_dicts(),
        fingerprint=fingerprint,
        users=len(users.user_ids),
        runs=[folder / run for run in done["run"]],
        untrained=read_untrained([folder / run for run in done["run"]], metrics),
    )


def read_untrained(runs: Sequence[Path], metrics: Sequence[str]) -> dict[str, dict[str, float]]:
    """Read the metrics of the untrained baselines that the test of each run measured.

    Args:
        runs: folders of the finished trials.
        metrics: metrics of the sweep.

    Returns:
        Mean over the runs, whose ties may be ordered differently, by baseline and metric.
    """
    files = [run / "metrics.json" for run in runs]
    measured = [json.loads(file.read_text("utf-8")).get("baselines", {}) for file in files if file.is_file()]
    values: dict[str, dict[str, list[float]]] = {}
    for name, baseline in (pair for baselines in measured for pair in baselines.items()):
        for metric in metrics:
            if metric in baseline:
                values.setdefault(name, {}).setdefault(metric, []).append(baseline[metric])
    return {name: {metric: float(np.mean(v)) for metric, v in by_metric.items()} for name, by_metric in values.items()}


def check_trials(done: pl.DataFrame, axes: Sequence[str], metrics: Sequence[str]) -> None:
    """Check that every finished trial has every metric, and that no configuration has a seed twice.

    Args:
        done: the finished trials.
        axes: columns of the axis labels.
        metrics: metrics of the sweep.

    Raises:
        DataError: names the trial and the metric, or the two trials.
    """
    for metric in metrics:
        without = done if metric not in done.columns else done.filter(pl.col(metric).is_null())
        if without.height:
            hint = "; no test user has a target of that group" if metric.split("/")[1:2] in [[g] for g in TARGET_GROUPS] else ""
            raise DataError(f"trial {without['trial'][0]} is done but has no {metric}{hint}")
    duplicates = done.filter(pl.struct(*axes, "seed").is_duplicated()).sort(*axes, "seed")
    if duplicates.height:
        raise DataError(f"trials {duplicates['trial'][0]} and {duplicates['trial'][1]} have the same configuration and seed")


def shared_fingerprint(done: pl.DataFrame) -> dict[str, Any]:
    """Return the data fingerprint that all finished trials share.

    Args:
        done: the finished trials.

    Returns:
        The fingerprint; empty if there are no trials.

    Raises:
        DataError: two trials differ; names them and the keys in which they differ.
    """
    fingerprints = {trial: json.loads(text) for trial, text in done.select("trial", "fingerprint").iter_rows()}
    if not fingerprints:
        return {}
    first, expected = next(iter(fingerprints.items()))
    for trial, other in fingerprints.items():
        keys = [key for key in {**expected, **other} if expected.get(key) != other.get(key)]
        if keys:
            differences = ", ".join(f"{key} ({expected.get(key)} against {other.get(key)})" for key in keys)
            raise DataError(
                f"trials {first} and {trial} have different data fingerprints and cannot be compared: {differences}"
            )
    return dict(expected)


def find_baseline(baseline: Mapping[str, Any] | None, labels: Sequence[Mapping[str, str]]) -> int | None:
    """Find the configuration that the sweep names as its baseline.

    Args:
        baseline: label by axis, from ``sweep.yaml``.
        labels: labels of all configurations.

    Returns:
        Its index, None if the sweep names none.

    Raises:
        DataError: not exactly one configuration has these labels.
    """
    if not baseline:
        return None
    matches = [i for i, own in enumerate(labels) if all(own.get(axis) == str(label) for axis, label in baseline.items())]
    if len(matches) != 1:
        raise DataError(f"the baseline {dict(baseline)} must match one configuration of the sweep; it matches {len(matches)}")
    return matches[0]


def summarise(
    trials: pl.DataFrame, labels: Mapping[str, str], metrics: Sequence[str], users: UserMetrics, is_baseline: bool
) -> Configuration:
    """Summarise one configuration, alone and against the baseline.

    Args:
        trials: trials of the configuration.
        labels: by axis.
        metrics: metrics of the sweep.
        users: metrics per user, with the baseline read.
        is_baseline: whether this configuration is the baseline.

    Returns:
        The configuration, without what depends on the other ones: corrected p-values, TPME and Pareto fronts.
    """
    done = trials.filter(pl.col("status") == "done")
    # Without a baseline, too: reading checks the metrics of each trial against its ranks.
    read = () if is_baseline else users.read(trials)
    shared = [values - users.baseline[seed] for seed, values in read if seed in users.baseline]
    differences = {}
    if shared:
        # A group of targets has the users whose difference is a number in every seed: its metric is NaN for all others.
        by_user, by_seed = np.mean(shared, axis=0), np.stack([np.nanmean(values, axis=0) for values in shared])
        for i, name in enumerate(users.names):
            own = by_user[:, i][~np.isnan(by_user[:, i])]
            if len(own):
                differences[name] = Difference(t_interval(by_seed[:, i].tolist()), *paired_bootstrap(own))
    means = {name: done[name].drop_nulls().mean() for name in COSTS if name in done.columns}
    return Configuration(
        labels=labels,
        trials=trials.height,
        done=done.height,
        is_baseline=is_baseline,
        metrics={name: t_interval(done[name].to_list()) for name in metrics} if done.height else {},
        differences=differences,
        costs={name: float(mean) for name, mean in means.items() if isinstance(mean, int | float)},
    )


def rate_costs(configurations: Sequence[Configuration], metric: str) -> list[Configuration]:
    """Add TPME, and whether each configuration is on the Pareto front of the metric and each cost.

    Args:
        configurations: all configurations of the sweep.
        metric: the quality.

    Returns:
        The configurations with these values.
    """
    fronts: list[dict[str, bool]] = [{} for _ in configurations]
    for cost in FRONT_COSTS:
        known = [i for i, c in enumerate(configurations) if metric in c.metrics and cost in c.costs]
        quality = [configurations[i].metrics[metric].mean for i in known]
        for i, is_on in zip(known, pareto_front(quality, [configurations[i].costs[cost] for i in known]), strict=True):
            fronts[i][cost] = is_on
    values = tpme([c.costs for c in configurations])
    return [replace(c, tpme=value, on_front=front) for c, value, front in zip(configurations, values, fronts, strict=True)]


def correct_p_values(configurations: Sequence[Configuration]) -> list[Configuration]:
    """Correct the p-values by Holm's method for all differences of all metrics together.

    Args:
        configurations: all configurations of the sweep.

    Returns:
        The configurations with the corrected p-values.
    """
    adjusted = iter(holm([d.p for c in configurations for d in c.differences.values()]))
    return [
        replace(c, differences={name: replace(d, p_holm=next(adjusted)) for name, d in c.differences.items()})
        for c in configurations
    ]
