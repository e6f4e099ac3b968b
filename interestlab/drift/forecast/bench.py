"""Measure all runs of one log on the same cases, against the same baselines, with the same bootstrap draws."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interestlab.data.datamodule import InterestData
from interestlab.drift.forecast.cases import Cases, InterestEvents, Windows, collect_cases, collect_events, nonempty, windows
from interestlab.drift.forecast.controls import random_encoder
from interestlab.drift.forecast.forecasters import BASELINES, Averaged, Blend, Forecaster, Model, Tuned
from interestlab.drift.forecast.skill import Scores, score, squared_error, tune
from interestlab.drift.interests import Interests
from interestlab.drift.model.trajectory import ModelView
from interestlab.drift.session_log import SessionLog, build_session_log
from interestlab.errors import DataError
from interestlab.stats.bootstrap import ClusterBootstrap, percentile_interval

SHUFFLED_ORDER, SHUFFLED_LABELS, RANDOM_ENCODER, FROZEN = "shuffled order", "shuffled labels", "random encoder", "frozen"
CONTROLS = (SHUFFLED_ORDER, SHUFFLED_LABELS, RANDOM_ENCODER, FROZEN)

Row = dict[str, Any]
Result = tuple[Scores, dict[int, np.ndarray]]
"""Scores, and by horizon the squared error of each case."""
Replicates = dict[tuple[str, int], np.ndarray]
"""By metric and horizon: the observed value, then its bootstrap replicates."""


@dataclass(frozen=True)
class Measured:
    """The metrics of one run.

    Attributes:
        dynamics: name of its dynamics.
        replicates: metrics with their bootstrap replicates, by forecaster and control.
        run: folder of the run.
        seed: seed of the run.
    """

    dynamics: str
    replicates: Mapping[tuple[str, str], Replicates]
    run: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Bench:
    """The cases of one log for tuning and for testing, and the tuned baselines.

    Attributes:
        spans: the windows.
        tuning, testing: cases by control of the labels: ``""`` or ``shuffled labels``.
        far: by horizon, the cases on which ``skill_vector`` is measured.
        least, draws, seed: see :func:`interestlab.drift.forecast.forecast`.
        baselines: tuned parameters and results of the baselines, by name and control of the labels.
    """

    spans: Windows
    tuning: Mapping[str, list[Cases]]
    testing: Mapping[str, list[Cases]]
    far: Mapping[int, list[Cases]]
    least: int
    draws: int
    seed: int
    baselines: dict[tuple[str, str], tuple[Tuned, Result]]

    @classmethod
    def from_data(
        cls,
        data: InterestData,
        interests: Callable[[InterestData, SessionLog], Interests],
        count: int,
        horizons: Sequence[int],
        least: int,
        draws: int,
        seed: int,
        shuffled_labels: bool,
    ) -> "Bench":
        """Collect the cases of a log and tune the baselines.

        Args:
            data: the log, split by global time.
            interests: defines the interests from the log and its sessions.
            count: number of window lengths in the time after the training cut.
            horizons: horizons of ``skill_vector``, in windows.
            least: smallest number of events with which a window counts as a migration or not.
            draws: number of bootstrap replicates.
            seed: seed of the bootstrap and of the shuffled labels.
            shuffled_labels: whether to collect the cases with shuffled labels too.

        Raises:
            DataError: there is no case to tune or to test on.
        """
        spans = windows(data, count)
        events = collect_events(data, interests(data, build_session_log(data.log)), spans)
        tuning = {"": cases_in_windows(events, range(spans.first, 0), "validation")}
        testing = {"": cases_in_windows(events, range(spans.stop), "test")}
        far = {h: cases_ahead(events, spans, h) if h > 1 else testing[""] for h in horizons}
        if shuffled_labels:
            tuning[SHUFFLED_LABELS] = shuffle_labels(tuning[""], seed, "validation")
            testing[SHUFFLED_LABELS] = shuffle_labels(testing[""], seed, "test")
        bench = cls(spans, tuning, testing, far, least, draws, seed, {})
        for labels in tuning:
            for forecaster in BASELINES:
                tuned = tune(forecaster, tuning[labels])
                bench.baselines[forecaster.name, labels] = tuned, bench.evaluate(forecaster, tuned, labels, labels)
        return bench

    def evaluate(self, forecaster: Forecaster, tuned: Tuned, labels: str, control: str) -> Result:
        """Score a tuned forecaster on the test windows, and compute its squared errors by horizon.

        Args:
            forecaster: the forecaster.
            tuned: its setting and mixing weight.
            labels: control of the labels, which selects the cases.
            control: name of the control; a control has squared errors for the next window only, and none with shuffled labels.
        """
        scores = score(forecaster, tuned, self.testing[labels], self.least)
        far = {} if labels else {h: ones for h, ones in self.far.items() if h == 1 or not control}
        return scores, {h: squared_error(forecaster, tuned, ones) if ones else np.empty(0) for h, ones in far.items()}

    def measure(self, view: ModelView, controls: Sequence[str]) -> Measured:
        """Measure a model without a control and under each control.

        Args:
            view: the model and its histories.
            controls: names of the controls.
        """
        results: dict[tuple[str, str], Result] = {}
        own_means: dict[str, Scores] = {}
        ewma = next(one for one in BASELINES if one.name == "ewma")
        plain = Model(view, self.spans)
        for control in ("", *controls):
            model, labels = plain, ""
            if control == SHUFFLED_ORDER:
                model = Model(view, self.spans, shuffle=self.seed)
            elif control == FROZEN:
                model = Model(view, self.spans, frozen=True)
            elif control == RANDOM_ENCODER:
                model = Model(random_encoder(view, self.seed), self.spans)
            elif control == SHUFFLED_LABELS:
                labels = control
            tuned = tune(model, self.tuning[labels])
            results["model", control] = self.evaluate(model, tuned, labels, control)
            if labels:
                own_means[labels] = score(Averaged(model, tuned), Tuned(0.0, 0.0), self.testing[labels], self.least)
            if not control:
                blend = Blend(model, ewma, (tuned, self.baselines["ewma", ""][0]))
                results["mixed", ""] = self.evaluate(blend, tune(blend, self.tuning[""]), "", "")
        dynamics = str(view.model.hparams["dynamics"]["class_path"]).rsplit(".", 1)[-1]
        own = results["model", ""][0]
        replicates = {key: self.bootstrap(key[1], result, own_means.get(key[1], own)) for key, result in results.items()}
        return Measured(dynamics, replicates)

    # ---- rows of the table

    def baseline_rows(self) -> Iterator[Row]:
        """Yield one row per metric of every baseline."""
        for (name, labels), (_, result) in self.baselines.items():
            for (metric, horizon), draws in self.bootstrap(labels, result).items():
                yield self._row(name, labels, metric, horizon, draws)

    def rows(self, one: Measured) -> Iterator[Row]:
        """Yield one row per metric of a run.

        Args:
            one: the run.
        """
        for (name, control), replicates in one.replicates.items():
            for (metric, horizon), draws in replicates.items():
                yield self._row(name, control, metric, horizon, draws) | {"run": one.run, "seed": one.seed}

    def mean_rows(self, group: Sequence[Measured]) -> Iterator[Row]:
        """Yield the means over runs that differ in the seed only; each replicate has the same users in all runs.

        Args:
            group: the runs.
        """
        for (name, control), replicates in group[0].replicates.items() if len(group) > 1 else ():
            for metric, horizon in replicates:
                if metric.startswith(("gain_", "loss_added", "skill")):
                    draws = np.mean([one.replicates[name, control][metric, horizon] for one in group], axis=0)
                    yield self._row(name, control, metric, horizon, draws)

    def _row(self, name: str, control: str, metric: str, horizon: int, draws: np.ndarray) -> Row:
        value, low, high = percentile_interval(draws)
        labels = control if control == SHUFFLED_LABELS else ""
        scores = self.baselines["persistence", labels][1][0]
        users, events = scores.users, scores.events
        if metric == "skill_vector":
            far = self.far[horizon]
            users, events = (np.concatenate([np.empty(0), *(getattr(one, n) for one in far)]) for n in ("users", "events"))
        elif metric in ("auprc", "base_rate"):
            users, events = users[scores.judged], events[scores.judged]
        key = {"forecaster": name, "control": control, "metric": metric, "horizon": horizon}
        return key | {"value": value, "low": low, "high": high, "users": len(np.unique(users)), "events": int(events.sum())}

    def bootstrap(self, control: str, result: Result, reference: Scores | None = None) -> Replicates:
        """Compute each metric on the observed users and on resampled users.

        Args:
            control: the control that the result is measured under; empty for none.
            result: scores and squared errors of a forecaster.
            reference: for a model, its scores without a control or, with shuffled labels, the scores of its own mean
                forecast; None for a baseline.
        """
        labels = control if control == SHUFFLED_LABELS else ""
        scores, errors = result
        others = {one.name: self.baselines[one.name, labels][1] for one in BASELINES}
        bootstrap = ClusterBootstrap(scores.users, self.draws, self.seed)
        compared = [scores, *(other[0] for other in others.values()), *([reference] if reference else [])]
        sums = bootstrap.sums_by_user(np.stack([scores.events, *(one.loss for one in compared)], 1))
        means = bootstrap.means(np.concatenate([sums[:, 1:] / sums[:, :1], sums], 1)).T
        by_user, events, by_event = means[: len(compared)], means[len(compared)], means[len(compared) + 1 :]
        loss, base = by_user[0], dict(zip(others, by_user[1:], strict=False))
        out = {
            "log_loss": loss,
            "log_loss_events": by_event[0] / events,
            "skill": 1 - loss / base["persistence"],
            "skill_events": 1 - by_event[0] / by_event[1],
            "skill_global": 1 - loss / base["global"],
        }
        if reference is not None and (not control or labels):
            out |= {f"gain_{other}": base[other] - loss for other in base}
        if reference is not None and labels:
            # Rounded: if all forecasts are equal, the rounding error of their mean must not count as a gain.
            out["gain_own_mean"] = (by_user[-1] - loss).round(9)
        if reference is not None and control and not labels:
            out["loss_added"] = loss - by_user[-1]
        moved = bootstrap.sums_by_user(np.stack([scores.moved & scores.judged, scores.judged], 1).astype(float))
        rates = bootstrap.means(moved).T
        with np.errstate(invalid="ignore"):
            out["base_rate"] = rates[0] / rates[1]
        out["auprc"] = bootstrap.average_precision(scores.moved, scores.moves, scores.judged)
        replicates = {(metric, 1): draws for metric, draws in out.items()}
        for horizon, ones in ((h, self.far[h]) for h in errors):
            if not ones:
                replicates["skill_vector", horizon] = np.array([np.nan])
                continue
            far_bootstrap = ClusterBootstrap(np.concatenate([one.users for one in ones]), self.draws, self.seed)
            errors_and_count = np.stack([errors[horizon], others["persistence"][1][horizon], np.ones(len(errors[horizon]))], 1)
            total = far_bootstrap.sums_by_user(errors_and_count)
            mine, theirs = far_bootstrap.means(total[:, :2] / total[:, 2:]).T
            replicates["skill_vector", horizon] = 1 - mine / theirs
        return replicates


def cases_in_windows(events: InterestEvents, spans: range, part: str) -> list[Cases]:
    """Collect the cases of some windows, each forecast at the beginning of its window.

    Args:
        events: the events of the log that have an interest.
        spans: numbers of the windows.
        part: ``validation`` or ``test``, for the error.

    Raises:
        DataError: there are none.
    """
    if windows_with_cases := nonempty(collect_cases(events, window, 1) for window in spans):
        return windows_with_cases
    raise DataError(f"no user is active in a {part} window and before it; use fewer windows, or other data.split_quantiles.")


def shuffle_labels(windows_of_cases: Sequence[Cases], seed: int, part: str) -> list[Cases]:
    """Shuffle the targets among the users of each window; a window with a single user is left out.

    Args:
        windows_of_cases: the cases of each window.
        seed: seed of the permutations.
        part: ``validation`` or ``test``, for the error.

    Raises:
        DataError: no window has two users.
    """
    if shuffled := [cases.shuffle_targets(seed) for cases in windows_of_cases if len(cases) > 1]:
        return shuffled
    raise DataError(f"no {part} window has two users whose labels could be shuffled; use fewer windows.")


def cases_ahead(events: InterestEvents, spans: Windows, horizon: int) -> list[Cases]:
    """Collect the cases of the test windows, each forecast several windows ahead, at a moment after the training cut.

    Args:
        events: the events of the log that have an interest.
        spans: the windows.
        horizon: number of windows ahead.
    """
    return nonempty(collect_cases(events, window, horizon) for window in range(max(0, spans.first + horizon - 1), spans.stop))
