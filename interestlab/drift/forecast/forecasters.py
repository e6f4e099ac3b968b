"""Forecasters of the interests of a user in a coming window: baselines, and a trained model."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from interestlab.drift.forecast.cases import Cases, Windows
from interestlab.drift.model.implied import expected, implied_shares
from interestlab.drift.model.trajectory import ModelView

SETTINGS = 8
MIXES = 12
"""Every forecaster is tuned over ``SETTINGS * MIXES`` candidates: one without a setting has that many weights of mixing."""


class Tuned(NamedTuple):
    """Parameters chosen on the validation windows.

    Attributes:
        setting: of the forecaster.
        mix: weight of the population's shares in the forecast.
    """

    setting: float
    mix: float


class Forecaster(ABC):
    """Forecasts shares of interests.

    Attributes:
        name: in the table.
        settings: values that are tried in tuning.
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
        return cases.own_vector(mixed(next(self.shares(cases, [tuned.setting])), cases, tuned.mix))


def mixes(forecaster: Forecaster) -> np.ndarray:
    """Return the mixing weights to try, denser near 0; all are positive, so that no loss is infinite.

    Args:
        forecaster: one with more settings gets fewer weights.

    Returns:
        Ascending weights.
    """
    many = MIXES * SETTINGS // len(forecaster.settings)
    return (np.arange(1, many + 1) / many) ** 2


def mixed(shares: np.ndarray, cases: Cases, mix: float) -> np.ndarray:
    """Mix the population's shares into a forecast.

    Args:
        shares: ``[N, K]`` forecast.
        cases: users of a window.
        mix: weight of the population.

    Returns:
        ``[N, K]`` shares.
    """
    return (1 - mix) * shares + mix * cases.everyone


class Persistence(Forecaster):
    """The shares of the last window in which the user was active; as a vector, the mean of its events."""

    name = "persistence"

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        yield from (cases.weighed(cases.last_active.astype(float)) for _ in settings)

    def vector(self, cases: Cases, tuned: Tuned) -> np.ndarray:
        return cases.mean_vector(cases.case[cases.last_active], cases.item[cases.last_active])


class Mean(Forecaster):
    """The shares of the user's full past."""

    name = "mean"

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        yield from (cases.weighed(np.ones(len(cases.case))) for _ in settings)


class Ewma(Forecaster):
    """Shares of the user's past events, of weight ``2^(-age / h)``; the setting h is the half-life in events."""

    name = "ewma"
    settings = tuple(float(2**i) for i in range(SETTINGS))

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        yield from (cases.weighed(np.exp2(-cases.age / half)) for half in settings)


class Global(Forecaster):
    r"""The population's last window times its trend, the same for everyone: :math:`q_k \propto p_k (p_k / p^-_k)^{\gamma h}`.

    :math:`p^-` is the window before it, h the horizon; the setting is :math:`\gamma`, 0 for no trend.
    """

    name = "global"
    settings = tuple(i / (SETTINGS - 1) for i in range(SETTINGS))

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        held, known = cases.everyone, cases.latest - 1 in cases.attended.population
        trend = held / cases.attended.shares(cases.latest - 1) if known else np.ones_like(held)
        for gamma in settings:
            q = held * trend ** (gamma * cases.horizon)
            yield np.broadcast_to(q / q.sum(), (len(cases), len(q)))


class Model(Forecaster):
    """The shares that a model's interest implies at the window's beginning; the setting multiplies its trained scale.

    Args:
        view: the model.
        spans: the windows, in which the cases lie that it is asked about.
        shuffle: seed of a random order of the events that it reads; None: as they came.
        frozen: whether it reads no event after the training cut; time passes all the same. A user without an event before
            it is forecast as the population.
    """

    name = "model"
    settings = tuple(2.0**i for i in range(2 - SETTINGS, 2))

    def __init__(self, view: ModelView, spans: Windows, shuffle: int | None = None, frozen: bool = False) -> None:
        self.view, self.spans, self.shuffle, self.frozen = view, spans, shuffle, frozen
        log = view.data.log
        self._window = spans.of(np.asarray(log.time))
        self._user = np.repeat(np.arange(len(log.offsets) - 1), np.diff(log.offsets))
        self._scale = view.logit_scale
        self._known: dict[tuple[int, int], tuple[Tensor, np.ndarray]] = {}

    def last(self, cases: Cases) -> np.ndarray:
        """``[N]`` row of the last event that is read of each case; before the user's first where there is none."""
        log = self.view.data.log
        many = np.bincount(self._user[self._window <= cases.latest], minlength=len(log.offsets) - 1)
        if self.frozen:
            many = np.minimum(many, np.asarray(log.split_positions.train))
        return np.asarray(log.offsets)[cases.users] + many[cases.users] - 1

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        z, known = self._states(cases)
        interests = cases.attended.interests
        scales = [self._scale * setting for setting in settings]
        for told in implied_shares(z, self.view.catalogue, interests.of, len(interests), scales):
            out = np.tile(cases.everyone, (len(cases), 1))
            out[known] = told
            yield out

    def vector(self, cases: Cases, tuned: Tuned) -> np.ndarray:
        """The mean of the items' vectors, each as probable as the model has it, with that of the population mixed in."""
        z, known = self._states(cases)
        interests = cases.attended.interests
        everyone = cases.everyone.astype(np.float32) @ cases.attended.centroids
        out = np.tile(everyone, (len(cases), 1))
        factor = self._scale * tuned.setting
        out[known] = expected(z, self.view.catalogue, interests.of, len(interests), interests.vectors, factor)
        return (1 - tuned.mix) * out + tuned.mix * everyone

    def _states(self, cases: Cases) -> tuple[Tensor, np.ndarray]:
        """Interests as they are compared, and ``[N]`` whose are known; followed once for all that asks."""
        key = cases.window, cases.horizon
        if key not in self._known:
            last = self.last(cases)
            known = last >= np.asarray(self.view.data.log.offsets)[cases.users]
            at = np.full(int(known.sum()), self.spans.begin(cases.window))
            self._known[key] = self.view.frozen.normalize(self.view.states(last[known], at, self.shuffle)), known
        return self._known[key]


class Blend(Forecaster):
    """A model and another forecaster, each as it was tuned; the setting is the weight of the model.

    Args:
        model: and ``other``: what is blended.
        tuned: settings of the two.
    """

    name = "mixed"
    settings = tuple(i / (SETTINGS - 1) for i in range(SETTINGS))

    def __init__(self, model: Forecaster, other: Forecaster, tuned: tuple[Tuned, Tuned]) -> None:
        self.model, self.other, self.tuned = model, other, tuned

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        parts = zip((self.model, self.other), self.tuned, strict=True)
        one, two = (next(part.shares(cases, [tuned.setting])) for part, tuned in parts)
        yield from (weight * one + (1 - weight) * two for weight in settings)

    def vector(self, cases: Cases, tuned: Tuned) -> np.ndarray:
        """The two vectors, blended as the shares are."""
        one, two = (
            part.vector(cases, Tuned(own.setting, tuned.mix))
            for part, own in zip((self.model, self.other), self.tuned, strict=True)
        )
        return tuned.setting * one + (1 - tuned.setting) * two


class Averaged(Forecaster):
    """What another forecaster says on average over the cases of a window, the same for everyone.

    Where targets are exchanged among the cases, the other cannot be expected to beat it unless it knows whose is whose: by
    Jensen's inequality the mean of -log q is at least -log of the mean.

    Args:
        other: the forecaster.
        tuned: how, with its share of the population.
    """

    name = "own mean"

    def __init__(self, other: Forecaster, tuned: Tuned) -> None:
        self.other, self.tuned = other, tuned

    def shares(self, cases: Cases, settings: Sequence[float]) -> Iterator[np.ndarray]:
        q = mixed(next(self.other.shares(cases, [self.tuned.setting])), cases, self.tuned.mix).mean(0)
        yield from (np.broadcast_to(q, (len(cases), len(q))) for _ in settings)


BASELINES: tuple[Forecaster, ...] = (Persistence(), Mean(), Ewma(), Global())
