"""Tune forecasters on some cases and score them on others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interestlab.drift.forecast.cases import Cases
from interestlab.drift.forecast.forecasters import Forecaster, Tuned, mixed, mixes


def tune(forecaster: Forecaster, cases: Sequence[Cases]) -> Tuned:
    """Choose the setting and the mixing weight with the smallest log-loss, averaged over the users of the cases.

    Args:
        forecaster: what is tuned.
        cases: validation windows.

    Returns:
        Setting and weight.
    """
    everyone = np.concatenate([one.everyone[one.target[1]] for one in cases])
    users = np.concatenate([one.users[one.target[0]] for one in cases])
    many = np.concatenate([one.target[2] for one in cases])
    weight = many / np.bincount(users, many)[users]
    told: list[list[np.ndarray]] = [[] for _ in forecaster.settings]
    for one in cases:
        case, interest, _ = one.target
        for held, shares in zip(told, forecaster.shares(one, forecaster.settings), strict=True):
            held.append(shares[case, interest])
    tried = (
        (-(weight @ np.log((1 - mix) * p + mix * everyone)), setting, mix)
        for setting, p in zip(forecaster.settings, map(np.concatenate, told), strict=True)
        for mix in mixes(forecaster)
    )
    _, setting, mix = min(tried)
    return Tuned(setting, float(mix))


@dataclass(frozen=True)
class Scores:
    """Scores of a forecaster on some cases.

    Attributes:
        users: ``[n]`` user of each case.
        events: ``[n]`` events of its target.
        loss: ``[n]`` sum over those events of ``-log q``, in nats.
        moves: ``[n]`` 1 - q of the interest that was largest in the user's past.
        moved: ``[n]`` whether another was largest in the window.
        judged: ``[n]`` whether the window has enough events to tell.
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
        forecaster: what is scored.
        tuned: its setting and mixing weight.
        cases: test windows.
        least: smallest number of events of a window that can show a migration.

    Returns:
        Scores of every case.
    """
    parts: list[tuple[np.ndarray, ...]] = []
    for one in cases:
        q = mixed(next(forecaster.shares(one, [tuned.setting])), one, tuned.mix)
        case, interest, many = one.target
        loss = np.bincount(case, -many * np.log(q[case, interest]), len(one))
        top = one.weighed(np.ones(len(one.case))).argmax(1)
        rows, counts = np.arange(len(one)), one.counts[one.told]
        moved = counts[rows, top] < counts.max(1)
        parts.append((one.users, one.events, loss, 1 - q[rows, top], moved, one.events >= least))
    return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def squared_error(forecaster: Forecaster, tuned: Tuned, cases: Sequence[Cases]) -> np.ndarray:
    """Compute the squared distance from the forecast vector to the mean vector of the target.

    Args:
        forecaster: what is scored.
        tuned: its setting and mixing weight.
        cases: test windows.

    Returns:
        ``[n]`` squared distance of each case.
    """
    return np.concatenate([np.square(forecaster.vector(one, tuned) - one.target_vector).sum(1, dtype=float) for one in cases])
