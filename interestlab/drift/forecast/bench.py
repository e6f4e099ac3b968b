"""Evaluate all runs over one log on the same cases, with the same baselines and bootstrap samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interestlab.data.datamodule import InterestData
from interestlab.drift.forecast.cases import (
    Cases,
    InterestEvents,
    Windows,
    build_cases,
    collect_events,
    drop_empty,
    place_windows,
)
from interestlab.drift.forecast.controls import random_encoder
from interestlab.drift.forecast.forecasters import BASELINES, Averaged, Blend, Forecaster, Model, Tuned
from interestlab.drift.forecast.skill import Scores, score, squared_error, tune
from interestlab.drift.interests import Interests
from interestlab.drift.session_log import SessionLog, build_session_log
from interestlab.errors import DataError
from interestlab.inference.trajectory import ModelView
from interestlab.stats.bootstrap import ClusterBootstrap, percentile_interval

SHUFFLED_ORDER, SHUFFLED_LABELS, RANDOM_ENCODER, FROZEN = "shuffled order", "shuffled labels", "random encoder", "frozen"
CONTROLS = (SHUFFLED_ORDER, SHUFFLED_LABELS, RANDOM_ENCODER, FROZEN)

Row = dict[str, Any]
Result = tuple[Scores, dict[int, np.ndarray]]
"""Scores, and by horizon the squared error of each case."""
Samples = dict[tuple[str, int], np.ndarray]


@dataclass(frozen=True)
class Measurement:
    """The metrics of one run.

    Attributes:
        dynamics: name of its dynamics.
        samples: by forecaster and control, the samples of each metric and horizon, see :meth:`Bench.bootstrap_metrics`.
        run: folder of the run.
        seed: random seed of the run.
    """

    dynamics: str
    samples: Mapping[tuple[str, str], Samples]
    run: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Bench:
    """The cases and baselines that all runs of one log are evaluated with.

    Attributes:
        spans: the windows.
        tuning: validation cases by label control: ``""`` or ``shuffled labels``.
        testing: test cases by label control.
        cases_ahead: by horizon, the test cases of ``skill_vector``.
        min_events: see :func:`~interestlab.drift.forecast.table.forecast`.
        draws: number of bootstrap samples.
        seed: random seed of the bootstrap and of the controls.
        baselines: by name and label control, the parameters of each baseline and its result.
    """

    spans: Windows
    tuning: Mapping[str, list[Cases]]
    testing: Mapping[str, list[Cases]]
    cases_ahead: Mapping[int, list[Cases]]
    min_events: int
    draws: int
    seed: int
    baselines: dict[tuple[str, str], tuple[Tuned, Result]]

    @classmethod
    def build(
        cls,
        data: InterestData,
        interests: Callable[[InterestData, SessionLog], Interests],
        count: int,
        horizons: Sequence[int],
        min_events: int,
        draws: int,
        seed: int,
        shuffled_labels: bool,
    ) -> "Bench":
        """Collect the cases of a log, then tune and evaluate the baselines.

        Args:
            data: the log, split by global time.
            interests: defines the interests of a log from its training events.
            count: number of windows that fill the time after the training cut.
            horizons: numbers of windows ahead for ``skill_vector``.
            min_events: smallest number of events of a window that can show a migration.
            draws: number of bootstrap samples.
            seed: random seed.
            shuffled_labels: whether to prepare the control ``shuffled labels``.

        Returns:
            The bench.

        Raises:
            DataError: there is no validation or test case.
        """
        spans = place_windows(data, count)
        events = collect_events(data, interests(data, build_session_log(data.log)), spans)
        tuning = {"": collect_cases(events, range(spans.first, 0), "validation")}
        testing = {"": collect_cases(events, range(spans.stop), "test")}
        cases_ahead = {h: collect_cases_ahead(events, spans, h) if h > 1 else testing[""] for h in horizons}
        if shuffled_labels:
            tuning[SHUFFLED_LABELS] = exchange_targets(tuning[""], seed, "validation")
            testing[SHUFFLED_LABELS] = exchange_targets(testing[""], seed, "test")
        bench = cls(spans, tuning, testing, cases_ahead, min_events, draws, seed, {})
        for labels in tuning:
            for forecaster in BASELINES:
                tuned = tune(forecaster, tuning[labels])
                bench.baselines[forecaster.name, labels] = tuned, bench.evaluate(forecaster, tuned, labels, labels)
        return bench

    def evaluate(self, forecaster: Forecaster, tuned: Tuned, labels: str, control: str) -> Result:
        """Score a forecaster on the test cases.

        Args:
            forecaster: the forecaster.
            tuned: its setting and mixing weight.
            labels: label control, which selects the test cases.
            control: negative control that the forecaster runs under; empty for none.

        Returns:
            Scores, and by horizon the squared errors: only for horizon 1 under a control, and for none with shuffled labels.
        """
        scores = score(forecaster, tuned, self.testing[labels], self.min_events)
        by_horizon = {} if labels else {h: cases for h, cases in self.cases_ahead.items() if h == 1 or not control}
        return scores, {h: squared_error(forecaster, tuned, cases) if cases else np.empty(0) for h, cases in by_horizon.items()}

    def measure(self, view: ModelView, controls: Sequence[str]) -> Measurement:
        """Evaluate a model without a control and under each control.

        Args:
            view: the model and its histories.
            controls: names of the negative controls.

        Returns:
            Metrics of the model, and of its mixture with the EWMA.
        """
        results: dict[tuple[str, str], Result] = {}
        mean_scores: dict[str, Scores] = {}
        ewma = next(baseline for baseline in BASELINES if baseline.name == "ewma")
        uncontrolled = Model(view, self.spans)
        for control in ("", *controls):
            model, labels = uncontrolled, ""
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
                mean_scores[labels] = score(Averaged(model, tuned), Tuned(0.0, 0.0), self.testing[labels], self.min_events)
            if not control:
                blend = Blend(model, ewma, (tuned, self.baselines["ewma", ""][0]))
                results["mixed", ""] = self.evaluate(blend, tune(blend, self.tuning[""]), "", "")
        dynamics = str(view.model.hparams["dynamics"]["class_path"]).rsplit(".", 1)[-1]
        own = results["model", ""][0]
        return Measurement(
            dynamics,
            {key: self.bootstrap_metrics(key[1], result, mean_scores.get(key[1], own)) for key, result in results.items()},
        )

    # ---- rows of the table

    def baseline_rows(self) -> Iterator[Row]:
        """Yield one row per metric of each baseline."""
        for (name, labels), (_, result) in self.baselines.items():
            for (metric, horizon), draws in self.bootstrap_metrics(labels, result).items():
                yield self._row(name, labels, metric, horizon, draws)

    def rows(self, measurement: Measurement) -> Iterator[Row]:
        """Yield one row per metric of a run.

        Args:
            measurement: the metrics of the run.
        """
        run = {"run": measurement.run, "seed": measurement.seed}
        for (name, control), samples in measurement.samples.items():
            for (metric, horizon), draws in samples.items():
                yield self._row(name, control, metric, horizon, draws) | run

    def mean_rows(self, group: Sequence[Measurement]) -> Iterator[Row]:
        """Yield one row per metric, averaged over runs that differ in their seed and share the bootstrap samples.

        Args:
            group: metrics of the runs of one model.
        """
        for (name, control), samples in group[0].samples.items() if len(group) > 1 else ():
            for metric, horizon in samples:
                if metric.startswith(("gain_", "loss_added", "skill")):
                    draws = np.mean([run.samples[name, control][metric, horizon] for run in group], axis=0)
                    yield self._row(name, control, metric, horizon, draws)

    def _row(self, name: str, control: str, metric: str, horizon: int, draws: np.ndarray) -> Row:
        value, low, high = percentile_interval(draws)
        labels = control if control == SHUFFLED_LABELS else ""
        scores = self.baselines["persistence", labels][1][0]
        users, events = scores.users, scores.events
        if metric == "skill_vector":
            cases = self.cases_ahead[horizon]
            users, events = (np.concatenate([np.empty(0), *(getattr(case, n) for case in cases)]) for n in ("users", "events"))
        elif metric in ("auprc", "base_rate"):
            users, events = users[scores.judged], events[scores.judged]
        key = {"forecaster": name, "control": control, "metric": metric, "horizon": horizon}
        return key | {"value": value, "low": low, "high": high, "users": len(np.unique(users)), "events": int(events.sum())}

    def bootstrap_metrics(self, control: str, result: Result, reference: Scores | None = None) -> Samples:
        """Compute each metric on the observed users and on each bootstrap sample of users.

        Args:
            control: negative control of the result; empty for none.
            result: scores and squared errors of a forecaster.
            reference: scores of the model without a control or, with shuffled labels, scores of its own mean forecast; None for
                a baseline.

        Returns:
            By metric and horizon, ``[1 + draws]`` values, the observed one first.
        """
        labels = control if control == SHUFFLED_LABELS else ""
        scores, errors = result
        others = {baseline.name: self.baselines[baseline.name, labels][1] for baseline in BASELINES}
        bootstrap = ClusterBootstrap(scores.users, self.draws, self.seed)
        compared = [scores, *(other[0] for other in others.values()), *([reference] if reference else [])]
        sums = bootstrap.sums_by_user(np.stack([scores.events, *(each.loss for each in compared)], 1))
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
        samples = {(metric, 1): draws for metric, draws in out.items()}
        for horizon, cases in ((h, self.cases_ahead[h]) for h in errors):
            if not cases:
                samples["skill_vector", horizon] = np.array([np.nan])
                continue
            bootstrap = ClusterBootstrap(np.concatenate([case.users for case in cases]), self.draws, self.seed)
            pair = np.stack([errors[horizon], others["persistence"][1][horizon], np.ones(len(errors[horizon]))], 1)
            total = bootstrap.sums_by_user(pair)
            error, baseline = bootstrap.means(total[:, :2] / total[:, 2:]).T
            samples["skill_vector", horizon] = 1 - error / baseline
        return samples


def collect_cases(events: InterestEvents, windows: range, part: str) -> list[Cases]:
    """Collect the cases of several windows, each forecast at the start of its window.

    Args:
        events: events that have an interest.
        windows: numbers of the windows.
        part: ``validation`` or ``test``, for the error.

    Returns:
        The cases of each window that has any.

    Raises:
        DataError: no window has a case.
    """
    if collected := drop_empty(build_cases(events, window, 1) for window in windows):
        return collected
    raise DataError(f"no user is active in a {part} window and before it; use fewer --windows, or change data.split_quantiles.")


def exchange_targets(cases: Sequence[Cases], seed: int, part: str) -> list[Cases]:
    """Permute the targets among the users of each window, and omit windows with one user.

    Args:
        cases: the cases of each window.
        seed: random seed of the permutations.
        part: ``validation`` or ``test``, for the error.

    Returns:
        The cases with permuted targets.

    Raises:
        DataError: no window has two users.
    """
    if exchanged := [window.exchange_targets(seed) for window in cases if len(window) > 1]:
        return exchanged
    raise DataError(f"no {part} window has two users whose labels could be shuffled; use fewer --windows.")


def collect_cases_ahead(events: InterestEvents, spans: Windows, horizon: int) -> list[Cases]:
    """Collect the cases of the test windows, each forecast several windows ahead from a time after the training cut.

    Args:
        events: events that have an interest.
        spans: the windows.
        horizon: number of windows ahead.

    Returns:
        The cases of each window that has any.
    """
    return drop_empty(build_cases(events, window, horizon) for window in range(max(0, spans.first + horizon - 1), spans.stop))
