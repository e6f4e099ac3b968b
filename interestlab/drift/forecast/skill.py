"""Tune forecasters on some cases and score them on others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interestlab.drift.forecast.cases import Cases
from interestlab.drift.forecast.forecasters import Forecaster, Tuned, mix_in_population, mixing_weights


def tune(forecaster: Forecaster, cases: Sequence[Cases]) -> Tuned:
    """Choose the setting and the mixing weight with the smallest log-loss, averaged over the users of the cases.

    Args:
        forecaster: the forecaster to tune.
        cases: validation windows.

    Returns:
        Setting and weight.
    """
    population = np.concatenate([one.population_shares[one.target[1]] for one in cases])
    users = np.concatenate([one.users[one.target[0]] for one in cases])
    counts = np.concatenate([one.target[2] for one in cases])
    weight = counts / np.bincount(users, counts)[users]
    forecasts: list[list[np.ndarray]] = [[] for _ in forecaster.settings]
    for one in cases:
        case, interest, _ = one.target
        for parts, shares in zip(forecasts, forecaster.shares(one, forecaster.settings), strict=True):
            parts.append(shares[case, interest])
    candidates = (
        (-(weight @ np.log((1 - mix) * p + mix * population)), setting, mix)
        for setting, p in zip(forecaster.settings, map(np.concatenate, forecasts), strict=True)
        for mix in mixing_weights(forecaster)
    )
    _, setting, mix = min(candidates)
    return Tuned(setting, float(mix))


@dataclass(frozen=True)
class Scores:
    """Scores of a forecaster on some cases.

    Attributes:
        users: ``[n]`` user of each case.
        events: ``[n]`` number of events of its target.
        loss: ``[n]`` sum over those events of ``-log q``, in nats.
        moves: ``[n]`` 1 - q of the interest with the largest share of the user's past.
        moved: ``[n]`` whether another interest has the largest share of the window.
        judged: ``[n]`` whether the window has enough events to decide this.
    """

    users: np.ndarray
    events: np.ndarray
    loss: np.ndarray
    moves: np.ndarray
    moved: np.ndarray
    judged: np.ndarray


def score(forecaster: Forecaster, tuned: Tuned, cases: Sequence[Cases], least: int) -> Scores:
    """Score a forecaster.

    A migration is a window with at least ``least`` events in which the largest interest of the user's past is not among the
    largest.

    Args:
        forecaster: the forecaster to score.
        tuned: its setting and mixing weight.
        cases: test windows.
        least: smallest number of events with which a window counts as a migration or not.

    Returns:
        Scores of every case.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    for one in cases:
        q = mix_in_population(next(forecaster.shares(one, [tuned.setting])), one, tuned.mix)
        case, interest, target = one.target
        loss = np.bincount(case, -target * np.log(q[case, interest]), len(one))
        top = one.weighted_shares(np.ones(len(one.case))).argmax(1)
        rows, counts = np.arange(len(one)), one.counts[one.target_case]
        moved = counts[rows, top] < counts.max(1)
        parts.append((one.users, one.events, loss, 1 - q[rows, top], moved, one.events >= least))
    return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def squared_error(forecaster: Forecaster, tuned: Tuned, cases: Sequence[Cases]) -> np.ndarray:
    """Compute the squared distance from the forecast vector to the mean vector of the target.

    Args:
        forecaster: the forecaster to score.
        tuned: its setting and mixing weight.
        cases: test windows.

    Returns:
        ``[n]`` squared distance of each case.
    """
    return np.concatenate([np.square(forecaster.vector(one, tuned) - one.target_vector).sum(1, dtype=float) for one in cases])
