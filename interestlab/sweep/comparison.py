"""The result of comparing the trials of a sweep, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interestlab.stats.intervals import Estimate

FRONT_COSTS = ("seconds_per_epoch", "trainable_parameters")
"""The costs for which a Pareto front is computed."""


@dataclass(frozen=True)
class Difference:
    """A configuration minus the baseline in one metric, over the seeds and users that both have.

    Attributes:
        over_seeds: mean and Student's 95% interval of the differences per shared seed.
        low, high: ends of the 95% percentile bootstrap interval over users, of the difference averaged over seeds.
        p: two-sided p-value of that bootstrap.
        p_holm: the same, corrected for all differences of the sweep.
    """

    over_seeds: Estimate
    low: float
    high: float
    p: float
    p_holm: float = 1.0

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p-value is below 0.05 and the interval over seeds excludes 0."""
        half_width = self.over_seeds.half_width
        return self.p_holm < 0.05 and half_width is not None and abs(self.over_seeds.mean) > half_width


@dataclass(frozen=True)
class Configuration:
    """One combination of axis labels; its trials differ in the seed alone.

    Attributes:
        labels: by axis.
        trials: number of planned trials.
        done: number of finished trials.
        is_baseline: whether the other configurations are compared with this one.
        metrics: mean over the finished trials, by name; empty if none is finished.
        differences: to the baseline, by metric; empty for the baseline itself, and if no seed is shared with it.
        costs: mean over the trials that recorded the cost, by name; a cost that none recorded is left out.
        tpme: see :func:`interestlab.sweep.cost.tpme`; None if a cost is unknown.
        on_front: by cost, whether no other configuration is both better and cheaper; a cost that is unknown is left out.
    """

    labels: Mapping[str, str]
    trials: int
    done: int
    is_baseline: bool
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    differences: Mapping[str, Difference] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    tpme: float | None = None
    on_front: Mapping[str, bool] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its labels in one line, for plots."""
        return " · ".join(self.labels.values()) or "all"


@dataclass(frozen=True)
class Comparison:
    """All configurations of a sweep, compared.

    Attributes:
        sweep: contents of ``sweep.yaml``.
        metrics: names; the first is the quality that is plotted against costs.
        axes: labels by axis, in order of appearance.
        configurations: in order of appearance.
        unfinished: ``trial``, ``seed``, ``status``, ``reason`` and the axes of every trial that failed or is missing.
        fingerprint: fingerprint of the data that all trials share; empty if no trial is finished.
        users: number of test users; 0 if no metric is available per user.
        runs: folders of the finished trials.
        untrained: metrics of popularity and co-occurrence counts on the same data, by name; empty if no trial measured them.
    """

    sweep: Mapping[str, Any]
    metrics: Sequence[str]
    axes: Mapping[str, Sequence[str]]
    configurations: Sequence[Configuration]
    unfinished: Sequence[Mapping[str, Any]]
    fingerprint: Mapping[str, Any]
    users: int
    runs: Sequence[Path]
    untrained: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def baseline(self) -> Configuration | None:
        """The configuration that the others are compared with, None if the sweep names none."""
        return next((c for c in self.configurations if c.is_baseline), None)
