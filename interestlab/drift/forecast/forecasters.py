"""Forecast the interest shares of users in a coming window, by baselines or by a trained model."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from interestlab.drift.forecast.cases import Cases, Windows
from interestlab.drift.model.implied import expected, implied_shares
from interestlab.inference.trajectory import ModelView

SETTINGS = 8
MIXES = 12
"""Each forecaster is tuned over ``SETTINGS * MIXES`` candidates; one without a setting tries that many mixing weights."""


class Tuned(NamedTuple):
    """Parameters chosen on the validation windows.

    Attributes:
        setting: value of the forecaster's setting.
        mix: weight of the population's shares in the forecast.
    """

    setting: float
    mix: float


class Forecaster(ABC):
    """Forecasts shares of interests.

    Attributes:
        name: name in the table.
        settings: values that tuning tries.
    """

    name: str
    settings: Sequence[float] = (0.0,)

    @abstractmethod
    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        """Forecast the shares, before the population is mixed in.

        Args:
            cases: users of a window.
            settings: values of the setting.

        Yields:
            ``[N, K]`` shares for each setting.
        """

    def vector(self, cases: Cases, tuned: Tuned) -> np.ndarray:
        """Forecast the mean vector; by default :meth:`.Cases.own_vector` of the shares.

        Args:
            cases: users of a window.
            tuned: setting and mixing weight.

        Returns:
            ``[N, D]`` vectors.
        """
        return cases.own_vector(mix_population(next(self.shares(cases, [tuned.setting])), cases, tuned.mix))


def mixing_weights(forecaster: Forecaster) -> np.ndarray:
    """Return the mixing weights to try, denser near 0; all are positive, so that no loss is infinite.

    Args:
        forecaster: one with more settings gets fewer weights.

    Returns:
        Ascending weights.
    """
    count = MIXES * SETTINGS // len(forecaster.settings)
    return (np.arange(1, count + 1) / count) ** 2


def mix_population(shares: np.ndarray, cases: Cases, mix: float) -> np.ndarray:
    """Mix the population's shares into a forecast.

    Args:
        shares: ``[N, K]`` forecast.
        cases: users of a window.
        mix: weight of the population.

    Returns:
        ``[N, K]`` shares.
    """
    return (1 - mix) * shares + mix * cases.population_shares


class Persistence(Forecaster):
    """The shares of the last window in which the user was active; as a vector, the mean of its events."""

    name = "persistence"

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        yield from (cases.weighted_shares(cases.last_active.astype(float)) for _ in settings)

    def vector(self, cases: Cases, tuned: Tuned) -> np.ndarray:
        return cases.mean_vector(cases.case[cases.last_active], cases.item[cases.last_active])


class Mean(Forecaster):
    """The shares of the user's full past."""

    name = "mean"

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        yield from (cases.weighted_shares(np.ones(len(cases.case))) for _ in settings)


class Ewma(Forecaster):
    """Shares of the user's past events, of weight ``2^(-age / h)``; the setting h is the half-life in events."""

    name = "ewma"
    settings = tuple(float(2**i) for i in range(SETTINGS))

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        yield from (cases.weighted_shares(np.exp2(-cases.age / half)) for half in settings)


class Global(Forecaster):
    r"""The population's last window times its trend, the same for everyone: :math:`q_k \propto p_k (p_k / p^-_k)^{\gamma h}`.

    :math:`p^-` is the window before it, h the horizon; the setting is :math:`\gamma`, 0 for no trend.
    """

    name = "global"
    settings = tuple(i / (SETTINGS - 1) for i in range(SETTINGS))

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        shares, events = cases.population_shares, cases.events_by_user
        known = cases.latest - 1 in events.population_counts
        trend = shares / events.population_shares(cases.latest - 1) if known else np.ones_like(shares)
        for gamma in settings:
            q = shares * trend ** (gamma * cases.horizon)
            yield np.broadcast_to(q / q.sum(), (len(cases), len(q)))


class Model(Forecaster):
    """The interest shares that a trained model implies for a user at the start of the window.

    The setting multiplies the trained scale of the logits.

    Args:
        view: the model and its histories.
        spans: the windows.
        shuffle: seed of a random order of the events that the model reads; None for their own order.
        frozen: whether the model ignores events after the training cut, though time passes. A user without earlier events is
            forecast with the population's shares.
    """

    name = "model"
    settings = tuple(2.0**i for i in range(2 - SETTINGS, 2))

    def __init__(self, view: ModelView, spans: Windows, shuffle: int | None = None, frozen: bool = False) -> None:
        self.view, self.spans, self.shuffle, self.frozen = view, spans, shuffle, frozen
        log = view.data.log
        self._window = spans.find(np.asarray(log.time))
        self._user = np.repeat(np.arange(len(log.offsets) - 1), np.diff(log.offsets))
        self._scale = view.logit_scale
        self._known: dict[tuple[int, int], tuple[Tensor, np.ndarray]] = {}

    def last_rows(self, cases: Cases) -> np.ndarray:
        """Return the row of the last event that the model reads for each case.

        Args:
            cases: users of a window.

        Returns:
            ``[N]`` rows of the log; one less than the user's first row if the model reads no event.
        """
        log = self.view.data.log
        counts = np.bincount(self._user[self._window <= cases.latest], minlength=len(log.offsets) - 1)
        if self.frozen:
            counts = np.minimum(counts, np.asarray(log.split_positions.train))
        return np.asarray(log.offsets)[cases.users] + counts[cases.users] - 1

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        z, known = self._states(cases)
        interests = cases.events_by_user.interests
        scales = [self._scale * setting for setting in settings]
        for implied in implied_shares(z, self.view.catalogue, interests.item_interest, len(interests), scales):
            out = np.tile(cases.population_shares, (len(cases), 1))
            out[known] = implied
            yield out

    def vector(self, cases: Cases, tuned: Tuned) -> np.ndarray:
        """Forecast the expected item vector under the model's probabilities, mixed with that of the population."""
        z, known = self._states(cases)
        interests = cases.events_by_user.interests
        population = cases.population_shares.astype(np.float32) @ cases.events_by_user.centroids
        out = np.tile(population, (len(cases), 1))
        factor = self._scale * tuned.setting
        out[known] = expected(z, self.view.catalogue, interests.item_interest, len(interests), interests.vectors, factor)
        return (1 - tuned.mix) * out + tuned.mix * population

    def _states(self, cases: Cases) -> tuple[Tensor, np.ndarray]:
        """Return the normalized states of the cases that have one, and ``[N]`` bool which these are; cached per window."""
        key = cases.window, cases.horizon
        if key not in self._known:
            last = self.last_rows(cases)
            known = last >= np.asarray(self.view.data.log.offsets)[cases.users]
            at = np.full(int(known.sum()), self.spans.begin(cases.window))
            self._known[key] = self.view.frozen.normalize(self.view.states(last[known], at, self.shuffle)), known
        return self._known[key]


class Blend(Forecaster):
    """The weighted mean of a model and another forecaster; the setting is the weight of the model.

    Args:
        model: the model.
        other: the other forecaster.
        tuned: parameters of the model, and of the other forecaster.
    """

    name = "mixed"
    settings = tuple(i / (SETTINGS - 1) for i in range(SETTINGS))

    def __init__(self, model: Forecaster, other: Forecaster, tuned: tuple[Tuned, Tuned]) -> None:
        self.model, self.other, self.tuned = model, other, tuned

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        parts = zip((self.model, self.other), self.tuned, strict=True)
        first, second = (next(part.shares(cases, [tuned.setting])) for part, tuned in parts)
        yield from (weight * first + (1 - weight) * second for weight in settings)

    def vector(self, cases: Cases, tuned: Tuned) -> np.ndarray:
        """Return the mean of the two vectors, with the same weights as for the shares."""
        first, second = (
            part.vector(cases, Tuned(own.setting, tuned.mix))
            for part, own in zip((self.model, self.other), self.tuned, strict=True)
        )
        return tuned.setting * first + (1 - tuned.setting) * second


class Averaged(Forecaster):
    """The mean of another forecaster's shares over the cases of a window, the same for every user.

    If targets are permuted among the cases, the other forecaster cannot be expected to beat this mean without knowing the
    permutation: by Jensen's inequality the mean of ``-log q`` is at least ``-log`` of the mean of ``q``.

    Args:
        other: the other forecaster.
        tuned: its parameters.
    """

    name = "own mean"

    def __init__(self, other: Forecaster, tuned: Tuned) -> None:
        self.other, self.tuned = other, tuned

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        q = mix_population(next(self.other.shares(cases, [self.tuned.setting])), cases, self.tuned.mix).mean(0)
        yield from (np.broadcast_to(q, (len(cases), len(q))) for _ in settings)


BASELINES: tuple[Forecaster, ...] = (Persistence(), Mean(), Ewma(), Global())
