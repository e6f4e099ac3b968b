"""What a sweep says: its configurations over seeds, over users and by cost.

Only runs of one data fingerprint are compared, and only on what their own ``ranks.parquet`` bears out.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import yaml

from interestlab.errors import DataError
from interestlab.metrics import TargetRanks, per_user_metrics
from interestlab.stats.bootstrap import paired_bootstrap
from interestlab.stats.intervals import Estimate, t_interval
from interestlab.stats.multiple_testing import holm
from interestlab.sweep.cost import front, tpme

COSTS = ("trainable_parameters", "parameters", "epochs", "steps", "seconds", "seconds_per_epoch", "peak_memory_mb")
FRONTS = ("seconds_per_epoch", "trainable_parameters")
"""The costs that quality is held against."""
OF_A_USER = re.compile(r"test/((?:recall|ndcg|mrr)@(\d+))")
"""The metrics that the ranks of a run give for each user."""
TOLERANCE = 1e-6
"""Between a metric and the mean of its users: it was kept in float32."""


@dataclass(frozen=True)
class Difference:
    """A configuration minus the baseline, in one metric, over the seeds and the users that both have.

    Attributes:
        seeds: mean over seeds and Student's interval of the differences of each shared seed.
        low, high: 95% percentile bootstrap interval over users, seeds averaged.
        p: two-sided, of that bootstrap.
        p_holm: the same, corrected for all differences of the sweep.
    """

    seeds: Estimate
    low: float
    high: float
    p: float
    p_holm: float = 1.0

    @property
    def clear(self) -> bool:
        """Whether neither other users nor other seeds explain it: corrected p below 0.05, and seeds on one side of 0."""
        return self.p_holm < 0.05 and self.seeds.half_width is not None and abs(self.seeds.mean) > self.seeds.half_width


@dataclass(frozen=True)
class Configuration:
    """One combination of axis labels, over its seeds.

    Attributes:
        labels: by axis.
        trials: how many were planned.
        done: how many were measured.
        is_baseline: whether the others are compared with it.
        metrics: of those that were measured; empty where no trial is done.
        differences: to the baseline, by metric; empty for the baseline, and where no seed is shared with it.
        costs: mean over the trials that tell it, by name; what no trial tells is left out.
        tpme: see :func:`interestlab.sweep.cost.tpme`.
        front: by cost, whether no other configuration is both better and cheaper; empty where a cost is not known.
    """

    labels: Mapping[str, str]
    trials: int
    done: int
    is_baseline: bool
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    differences: Mapping[str, Difference] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    tpme: float | None = None
    front: Mapping[str, bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its labels, as it is written in plots."""
        return " · ".join(self.labels.values()) or "all"


@dataclass(frozen=True)
class Comparison:
    """A whole sweep, compared.

    Attributes:
        sweep: ``sweep.yaml``.
        metrics: names, the first of which is held against costs.
        axes: labels by axis, in order of appearance.
        configurations: in order of appearance.
        undone: ``trial``, ``seed``, ``status``, ``reason`` and axes of each trial that is not done.
        fingerprint: of the data that all were measured on; empty where no trial is done.
        users: that each was measured on; 0 where no metric is one of users.
        runs: folders of the trials that are done.
    """

    sweep: Mapping[str, Any]
    metrics: Sequence[str]
    axes: Mapping[str, Sequence[str]]
    configurations: Sequence[Configuration]
    undone: Sequence[Mapping[str, Any]]
    fingerprint: Mapping[str, Any]
    users: int
    runs: Sequence[Path]

    @property
    def baseline(self) -> Configuration | None:
        """What the others are compared with."""
        return next((c for c in self.configurations if c.is_baseline), None)


def compare(folder: Path) -> Comparison:
    """Compare the trials of a sweep folder, which holds ``sweep.yaml`` and ``results.parquet``.

    Raises:
        DataError: trials of different data, a run whose ranks do not give its metrics, or a folder that is no sweep.
    """
    for name in ("sweep.yaml", "results.parquet"):
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is missing: is {folder} the folder of a sweep that has run?")
    sweep = yaml.safe_load((folder / "sweep.yaml").read_text("utf-8"))
    metrics = sweep.get("metrics") or ["test/recall@10", "test/ndcg@10"]
    trials = pl.read_parquet(folder / "results.parquet", glob=False)
    axes = [name for name in trials.columns if name.startswith("axis/")]
    done = trials.filter(pl.col("status") == "done")
    check(done, axes, metrics)
    fingerprint = one_fingerprint(done)

    parts = trials.partition_by(axes, maintain_order=True) if axes else [trials]
    labels = [{axis.removeprefix("axis/"): str(part[axis][0]) for axis in axes} for part in parts]
    base = baseline_of(sweep.get("baseline"), labels)
    users = UserMetrics(folder, metrics)
    if base is not None:
        users.keep(parts[base])
    configurations = [
        configuration(part, label, metrics, users, i == base) for i, (part, label) in enumerate(zip(parts, labels, strict=True))
    ]
    return Comparison(
        sweep=sweep,
        metrics=metrics,
        axes={axis.removeprefix("axis/"): trials[axis].unique(maintain_order=True).cast(pl.String).to_list() for axis in axes},
        configurations=corrected(priced(configurations, metrics[0])),
        undone=trials.filter(pl.col("status") != "done").select("trial", *axes, "seed", "status", "reason").to_dicts(),
        fingerprint=fingerprint,
        users=len(users.ids),
        runs=[folder / run for run in done["run"]],
    )


def check(done: pl.DataFrame, axes: Sequence[str], metrics: Sequence[str]) -> None:
    """Refuse what would be dropped in silence: a metric that was not measured, a seed that was run twice."""
    for metric in metrics:
        lacks = done if metric not in done.columns else done.filter(pl.col(metric).is_null())
        if lacks.height:
            raise DataError(f"trial {lacks['trial'][0]} is done but has no {metric}")
    twice = done.filter(pl.struct(*axes, "seed").is_duplicated()).sort(*axes, "seed")
    if twice.height:
        raise DataError(f"trials {twice['trial'][0]} and {twice['trial'][1]} have the same configuration and seed")


def one_fingerprint(done: pl.DataFrame) -> dict[str, Any]:
    """The data fingerprint that all trials share."""
    told = {trial: json.loads(text) for trial, text in done.select("trial", "fingerprint").iter_rows()}
    first = next(iter(told), None)
    for trial, other in told.items():
        keys = [key for key in {**told[first], **other} if told[first].get(key) != other.get(key)]
        if keys:
            differ = ", ".join(f"{key} ({told[first].get(key)} against {other.get(key)})" for key in keys)
            raise DataError(f"trials {first} and {trial} have different data fingerprints and cannot be compared: {differ}")
    return told[first] if told else {}


def baseline_of(baseline: Mapping[str, Any] | None, labels: Sequence[Mapping[str, str]]) -> int | None:
    """Which configuration the sweep calls its baseline, None where it names none."""
    if not baseline:
        return None
    found = [i for i, mine in enumerate(labels) if all(mine.get(axis) == str(label) for axis, label in baseline.items())]
    if len(found) != 1:
        raise DataError(f"the baseline {dict(baseline)} must be one configuration of the sweep; {len(found)} are like it")
    return found[0]


class UserMetrics:
    """Metrics of each user, run by run: only those of the baseline are kept, so memory does not grow with the sweep.

    Args:
        folder: of the sweep.
        metrics: of which those are read that ``ranks.parquet`` gives.

    Attributes:
        names: the metrics that are read.
        ids: the users of every run; empty until the first is read.
        kept: ``[users, metrics]`` of the baseline, by seed.
    """

    def __init__(self, folder: Path, metrics: Sequence[str]) -> None:
        self.folder = folder
        self.names = {name: found for name in metrics if (found := OF_A_USER.fullmatch(name))}
        self.ids = pl.Series("user_id", [], dtype=pl.String)
        self.first = ""
        self.kept: dict[int, np.ndarray] = {}

    def keep(self, trials: pl.DataFrame) -> None:
        """Keep the baseline's."""
        self.kept = dict(self.read(trials))

    def read(self, trials: pl.DataFrame) -> Iterator[tuple[int, np.ndarray]]:
        """Seed and ``[users, metrics]`` of each trial that is done, users in the order of :attr:`ids`."""
        for trial in trials.filter(pl.col("status") == "done").iter_rows(named=True):
            if self.names:
                yield trial["seed"], self.measured(trial)

    def measured(self, trial: Mapping[str, Any]) -> np.ndarray:
        """``[users, metrics]`` of one trial, by the function that its run used.

        Raises:
            DataError: its mean is not the metric that the run told, or its users are others.
        """
        file = self.folder / trial["run"] / "ranks.parquet"
        if not file.is_file():
            raise DataError(f"trial {trial['trial']} is done but {file} is missing")
        ranks = pl.read_parquet(file, glob=False).sort("user_id")
        self.check_users(trial["trial"], ranks["user_id"])
        index = torch.arange(ranks.height)
        places = TargetRanks(
            index, index, torch.tensor(ranks["rank"].to_numpy() - 1), torch.tensor(ranks["tied"].to_numpy().copy())
        )
        found = per_user_metrics(places, sorted({int(name[2]) for name in self.names.values()}))
        for name, match in self.names.items():
            mean = float(found[match[1]].mean())
            if not abs(mean - trial[name]) <= TOLERANCE:
                told = f"trial {trial['trial']} tells {name} {trial[name]:.6f}"
                raise DataError(f"{told} but {file} gives {mean:.6f}: one of them is of another run, or was changed")
        return np.stack([found[match[1]] for match in self.names.values()], axis=1)

    def check_users(self, trial: str, ids: pl.Series) -> None:
        """Refuse runs that cannot be paired user by user."""
        if not self.first:
            self.first, self.ids = trial, ids
        if ids.n_unique() < len(ids) or not len(ids):
            raise DataError(f"trial {trial}: {len(ids)} ranks are of {ids.n_unique()} users, where each user has one")
        if not ids.equals(self.ids):
            here, there = (~self.ids.is_in(ids.implode())).sum(), (~ids.is_in(self.ids.implode())).sum()
            raise DataError(
                f"trials {self.first} and {trial} were measured on different users: "
                f"{here} are missing in {trial}, {there} in {self.first}"
            )


def configuration(
    trials: pl.DataFrame, labels: Mapping[str, str], metrics: Sequence[str], users: UserMetrics, is_baseline: bool
) -> Configuration:
    """One configuration by itself and against the baseline; what depends on the others is still open."""
    done = trials.filter(pl.col("status") == "done")
    # Also without a baseline: reading is what checks each run's metrics against its ranks.
    read = () if is_baseline else users.read(trials)
    shared = [values - users.kept[seed] for seed, values in read if seed in users.kept]
    differences = {}
    if shared:
        of_users, of_seeds = np.mean(shared, axis=0), np.stack([values.mean(axis=0) for values in shared])
        for i, name in enumerate(users.names):
            differences[name] = Difference(t_interval(of_seeds[:, i].tolist()), *paired_bootstrap(of_users[:, i]))
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


def priced(configurations: Sequence[Configuration], metric: str) -> list[Configuration]:
    """With TPME, and whether each is on the front of the metric against each cost."""
    fronts: list[dict[str, bool]] = [{} for _ in configurations]
    for cost in FRONTS:
        known = [i for i, c in enumerate(configurations) if metric in c.metrics and cost in c.costs]
        quality = [configurations[i].metrics[metric].mean for i in known]
        for i, on in zip(known, front(quality, [configurations[i].costs[cost] for i in known]), strict=True):
            fronts[i][cost] = on
    values = tpme([c.costs for c in configurations])
    return [replace(c, tpme=value, front=on) for c, value, on in zip(configurations, values, fronts, strict=True)]


def corrected(configurations: Sequence[Configuration]) -> list[Configuration]:
    """With p-values corrected for all differences of all metrics together."""
    values = iter(holm([d.p for c in configurations for d in c.differences.values()]))
    return [
        replace(c, differences={name: replace(d, p_holm=next(values)) for name, d in c.differences.items()})
        for c in configurations
    ]
