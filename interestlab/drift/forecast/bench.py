"""What all runs over one log are measured on, and how: the same cases, baselines and draws for each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interestlab.data.datamodule import InterestData
from interestlab.drift.forecast.cases import Attended, Cases, Windows, attended, cases, nonempty, windows
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
Drawn = dict[tuple[str, int], np.ndarray]


@dataclass(frozen=True)
class Measured:
    """A run on the bench.

    Attributes:
        dynamics: its name.
        drawn: by forecaster and control, each metric and horizon: as observed, and as often as users were drawn.
        run: its folder.
        seed: what it was seeded with.
    """

    dynamics: str
    drawn: Mapping[tuple[str, str], Drawn]
    run: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class Bench:
    """What all runs of one log are measured on: cases to tune and to test on, and the baselines.

    Attributes:
        spans: the windows.
        tuning, testing: cases by control of the labels: ``""`` or ``shuffled labels``.
        far: by horizon, the cases that ``skill_vector`` is measured on.
        least, draws, seed: see :func:`forecast`.
        baselines: tuned, with their results, by name and control of the labels.
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
    def over(
        cls,
        data: InterestData,
        interests: Callable[[InterestData, SessionLog], Interests],
        count: int,
        horizons: Sequence[int],
        least: int,
        draws: int,
        seed: int,
        exchanged: bool,
    ) -> "Bench":
        """The bench of a log.

        Raises:
            DataError: no one can be tuned or tested on.
        """
        spans = windows(data, count)
        held = attended(data, interests(data, build_session_log(data.log)), spans)
        tuning = {"": among(held, range(spans.first, 0), "validation")}
        testing = {"": among(held, range(spans.stop), "test")}
        far = {h: ahead(held, spans, h) if h > 1 else testing[""] for h in horizons}
        if exchanged:
            tuning[SHUFFLED_LABELS] = exchange(tuning[""], seed, "validation")
            testing[SHUFFLED_LABELS] = exchange(testing[""], seed, "test")
        bench = cls(spans, tuning, testing, far, least, draws, seed, {})
        for labels in tuning:
            for forecaster in BASELINES:
                tuned = tune(forecaster, tuning[labels])
                bench.baselines[forecaster.name, labels] = tuned, bench.result(forecaster, tuned, labels, labels)
        return bench

    def result(self, forecaster: Forecaster, tuned: Tuned, labels: str, control: str) -> Result:
        """Scores, and squared errors by horizon: under a control of the next window alone, and none of exchanged targets."""
        scores = score(forecaster, tuned, self.testing[labels], self.least)
        far = {} if labels else {h: ones for h, ones in self.far.items() if h == 1 or not control}
        return scores, {h: squared_error(forecaster, tuned, ones) if ones else np.empty(0) for h, ones in far.items()}

    def measure(self, view: ModelView, controls: Sequence[str]) -> Measured:
        """A model, and what is left of it under each control."""
        results: dict[tuple[str, str], Result] = {}
        beside: dict[str, Scores] = {}
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
            results["model", control] = self.result(model, tuned, labels, control)
            if labels:
                beside[labels] = score(Averaged(model, tuned), Tuned(0.0, 0.0), self.testing[labels], self.least)
            if not control:
                blend = Blend(model, ewma, (tuned, self.baselines["ewma", ""][0]))
                results["mixed", ""] = self.result(blend, tune(blend, self.tuning[""]), "", "")
        dynamics = str(view.model.hparams["dynamics"]["class_path"]).rsplit(".", 1)[-1]
        own = results["model", ""][0]
        return Measured(dynamics, {key: self.drawn(key[1], result, beside.get(key[1], own)) for key, result in results.items()})

    # ---- rows of the table

    def baseline_rows(self) -> Iterator[Row]:
        """Every metric of every baseline."""
        for (name, labels), (_, result) in self.baselines.items():
            for (metric, horizon), draws in self.drawn(labels, result).items():
                yield self._row(name, labels, metric, horizon, draws)

    def rows(self, one: Measured) -> Iterator[Row]:
        """Every metric of a run."""
        for (name, control), drawn in one.drawn.items():
            for (metric, horizon), draws in drawn.items():
                yield self._row(name, control, metric, horizon, draws) | {"run": one.run, "seed": one.seed}

    def mean_rows(self, group: Sequence[Measured]) -> Iterator[Row]:
        """Means over the runs of one model, the users drawn alike in each."""
        for (name, control), drawn in group[0].drawn.items() if len(group) > 1 else ():
            for metric, horizon in drawn:
                if metric.startswith(("gain_", "loss_added", "skill")):
                    draws = np.mean([one.drawn[name, control][metric, horizon] for one in group], axis=0)
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
        told = {"forecaster": name, "control": control, "metric": metric, "horizon": horizon}
        return told | {"value": value, "low": low, "high": high, "users": len(np.unique(users)), "events": int(events.sum())}

    def drawn(self, control: str, result: Result, beside: Scores | None = None) -> Drawn:
        """Each metric, by its horizon: as observed, and as often as users were drawn.

        Args:
            control: under which the result came about.
            result: of a forecaster.
            beside: of a model, what it reached without a control or, with exchanged targets, what its own mean forecast
                reaches; None for a baseline.
        """
        labels = control if control == SHUFFLED_LABELS else ""
        scores, errors = result
        others = {one.name: self.baselines[one.name, labels][1] for one in BASELINES}
        held = ClusterBootstrap(scores.users, self.draws, self.seed)
        told = [scores, *(other[0] for other in others.values()), *([beside] if beside else [])]
        sums = held.sums_by_user(np.stack([scores.events, *(one.loss for one in told)], 1))
        means = held.means(np.concatenate([sums[:, 1:] / sums[:, :1], sums], 1)).T
        by_user, events, by_event = means[: len(told)], means[len(told)], means[len(told) + 1 :]
        loss, base = by_user[0], dict(zip(others, by_user[1:], strict=False))
        out = {
            "log_loss": loss,
            "log_loss_events": by_event[0] / events,
            "skill": 1 - loss / base["persistence"],
            "skill_events": 1 - by_event[0] / by_event[1],
            "skill_global": 1 - loss / base["global"],
        }
        if beside is not None and (not control or labels):
            out |= {f"gain_{other}": base[other] - loss for other in base}
        if beside is not None and labels:
            # Rounded: where all forecasts are the same, the error of their mean must not be taken for a gain.
            out["gain_own_mean"] = (by_user[-1] - loss).round(9)
        if beside is not None and control and not labels:
            out["loss_added"] = loss - by_user[-1]
        moved = held.sums_by_user(np.stack([scores.moved & scores.judged, scores.judged], 1).astype(float))
        rates = held.means(moved).T
        with np.errstate(invalid="ignore"):
            out["base_rate"] = rates[0] / rates[1]
        out["auprc"] = held.average_precision(scores.moved, scores.moves, scores.judged)
        drawn = {(metric, 1): draws for metric, draws in out.items()}
        for horizon, ones in ((h, self.far[h]) for h in errors):
            if not ones:
                drawn["skill_vector", horizon] = np.array([np.nan])
                continue
            again = ClusterBootstrap(np.concatenate([one.users for one in ones]), self.draws, self.seed)
            pair = np.stack([errors[horizon], others["persistence"][1][horizon], np.ones(len(errors[horizon]))], 1)
            total = again.sums_by_user(pair)
            mine, theirs = again.means(total[:, :2] / total[:, 2:]).T
            drawn["skill_vector", horizon] = 1 - mine / theirs
        return drawn


def among(held: Attended, spans: range, part: str) -> list[Cases]:
    """The cases of some windows, each forecast at its beginning.

    Raises:
        DataError: there are none.
    """
    if found := nonempty(cases(held, window, 1) for window in spans):
        return found
    raise DataError(f"no user is active in a {part} window and before it; take fewer windows, or other data.cuts.")


def exchange(ones: Sequence[Cases], seed: int, part: str) -> list[Cases]:
    """The cases with the targets of each window exchanged; a window of one user has none to exchange, and is left out.

    Raises:
        DataError: there is no other window.
    """
    if found := [one.exchanged(seed) for one in ones if len(one) > 1]:
        return found
    raise DataError(f"no {part} window has two users whose labels could be shuffled; take fewer windows.")


def ahead(held: Attended, spans: Windows, horizon: int) -> list[Cases]:
    """The cases of the test windows, each forecast some windows ahead, from a moment that training had not reached."""
    return nonempty(cases(held, window, horizon) for window in range(max(0, spans.first + horizon - 1), spans.stop))
