"""Tune forecasters on some cases and score them on others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interestlab.drift.forecast.cases import Cases
from interestlab.drift.forecast.forecasters import Forecaster, Tuned, mix_population, mixing_weights


def tune(forecaster: Forecaster, cases: Sequence[Cases]) -> Tuned:
    """Choose the setting and the mixing weight with the smallest log-loss, averaged over the users of the cases.

    Args:
        forecaster: the forecaster.
        cases: cases of each validation window.

    Returns:
        The setting and the mixing weight.
    """
    population = np.concatenate([window.population_shares[window.target[1]] for window in cases])
    users = np.concatenate([window.users[window.target[0]] for window in cases])
    events = np.concatenate([window.target[2] for window in cases])
    weight = events / np.bincount(users, events)[users]
    forecasts: list[list[np.ndarray]] = [[] for _ in forecaster.settings]
    for window in cases:
        case, interest, _ = window.target
        for collected, shares in zip(forecasts, forecaster.shares(window, forecaster.settings), strict=True):
            collected.append(shares[case, interest])
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
        events: ``[n]`` events of its target.
        loss: ``[n]`` sum over those events of ``-log q``, in nats.
        moves: ``[n]`` 1 - q of the interest that was largest in the user's past.
        moved: ``[n]`` whether that interest is not among the largest in the window.
        judged: ``[n]`` whether the window has enough events to show a migration.
    """

    users: np.ndarray
    events: np.ndarray
    loss: np.ndarray
    moves: np.ndarray
    moved: np.ndarray
    judged: np.ndarray


def score(forecaster: Forecaster, tuned: Tuned, cases: Sequence[Cases], min_events: int) -> Scores:
    """Score a forecaster.

    A migration is a window with at least ``min_events`` events in which the largest interest of the user's past is not
    among the largest.

    Args:
        forecaster: the forecaster.
        tuned: its setting and mixing weight.
        cases: cases of each test window.
        min_events: smallest number of events of a window that can show a migration.

    Returns:
        Scores of every case.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    for window in cases:
        q = mix_population(next(forecaster.shares(window, [tuned.setting])), window, tuned.mix)
        case, interest, events = window.target
        loss = np.bincount(case, -events * np.log(q[case, interest]), len(window))
        top = window.weighted_shares(np.ones(len(window.case))).argmax(1)
        rows, counts = np.arange(len(window)), window.counts[window.target_index]
        moved = counts[rows, top] < counts.max(1)
        parts.append((window.users, window.events, loss, 1 - q[rows, top], moved, window.events >= min_events))
    return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def squared_error(forecaster: Forecaster, tuned: Tuned, cases: Sequence[Cases]) -> np.ndarray:
    """Compute the squared distance from the forecast vector to the mean vector of the target.

    Args:
        forecaster: the forecaster.
        tuned: its setting and mixing weight.
        cases: cases of each test window.

    Returns:
        ``[n]`` squared distance of each case.
    """
    errors = (forecaster.vector(window, tuned) - window.target_vector for window in cases)
    return np.concatenate([np.square(error).sum(1, dtype=float) for error in errors])
