"""How good forecasts are: tuned on some cases, scored on others, with intervals over users."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from interestlab.drift.forecast.cases import Cases
from interestlab.drift.forecast.forecasters import Forecaster, Tuned, mixed, mixes

RESAMPLED = 200
"""Draws of the bootstrap of an average precision, which takes a pass over all cases for each."""

TILE = 4_000_000


def tune(forecaster: Forecaster, cases: Sequence[Cases]) -> Tuned:
    """The setting and the mixing weight of least log-loss, averaged over the users of the cases."""
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
    """A forecaster on some cases.

    Attributes:
        users: ``[n]`` user of each case.
        events: ``[n]`` events of its target.
        loss: ``[n]`` sum over those events of ``-log q``, in nats.
        moves: ``[n]`` 1 - q of the interest that was largest in the user's past.
        moved: ``[n]`` whether another was largest in the window.
        judged: ``[n]`` whether the window has events enough to say so.
    """

    users: np.ndarray
    events: np.ndarray
    loss: np.ndarray
    moves: np.ndarray
    moved: np.ndarray
    judged: np.ndarray


def score(forecaster: Forecaster, tuned: Tuned, cases: Sequence[Cases], least: int) -> Scores:
    """Score a forecaster.

    A migration is a window of at least ``least`` events in which the interest that was largest in the user's whole past is not
    among the largest.
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
    """``[n]`` squared distance from the expected vector to the mean vector of the target."""
    return np.concatenate([np.square(forecaster.vector(one, tuned) - one.target_vector).sum(1, dtype=float) for one in cases])


class Resampling:
    """A bootstrap over users: the same users are drawn for everything that is compared.

    Args:
        users: ``[n]`` user of each case.
        draws: how often.
        seed: of the draws.
    """

    def __init__(self, users: np.ndarray, draws: int, seed: int) -> None:
        names, self.place = np.unique(users, return_inverse=True)
        self.users, self.draws, self.seed = len(names), draws, seed

    def weights(self, draws: int) -> Iterator[np.ndarray]:
        """``[d, users]`` how often each user was drawn: at first once, as observed, then ``draws`` times by chance."""
        yield np.ones((1, self.users))
        rng, step = np.random.default_rng(self.seed), max(1, TILE // self.users)
        for first in range(0, draws, step):
            many = min(step, draws - first)
            drawn = rng.integers(self.users, size=(many, self.users)) + np.arange(many)[:, None] * self.users
            yield np.bincount(drawn.ravel(), minlength=many * self.users).reshape(many, self.users).astype(float)

    def totals(self, values: np.ndarray) -> np.ndarray:
        """``[users, C]`` sums over the cases of each user, of ``values [n, C]``."""
        return np.stack([np.bincount(self.place, column, self.users) for column in values.T], 1)

    def means(self, values: np.ndarray) -> np.ndarray:
        """``[1 + draws, C]`` mean over users of ``values [users, C]``, first as observed."""
        return np.concatenate([weights @ values / self.users for weights in self.weights(self.draws)])

    def precision(self, moved: np.ndarray, moves: np.ndarray, judged: np.ndarray) -> np.ndarray:
        """``[1 + d]`` average precision of the score ``moves [n]`` for the label ``moved [n]``; NaN where only one label is.

        As :func:`sklearn.metrics.average_precision_score` has it, for all draws at once: cases are sorted but once.
        """
        order = np.flatnonzero(judged)[np.argsort(-moves[judged], kind="stable")]
        place, label = self.place[order], moved[order]
        # Cases of equal score are told apart by no threshold.
        ends = np.flatnonzero(np.r_[np.diff(moves[order]) != 0, len(order) > 0])
        out = []
        for weights in self.weights(min(self.draws, RESAMPLED)):
            drawn = weights[:, place]
            found, told = (drawn * label).cumsum(1)[:, ends], drawn.cumsum(1)[:, ends]
            both = (found[:, -1] > 0) & (found[:, -1] < told[:, -1]) if len(ends) else np.zeros(len(drawn), bool)
            gained = np.diff(found, axis=1, prepend=0) * found / np.maximum(told, 1)
            out.append(np.where(both, gained.sum(1) / np.where(both, found.max(1, initial=1), 1), np.nan))
        return np.concatenate(out)


def interval(draws: np.ndarray) -> tuple[float, float, float]:
    """Value as observed (the first), and the 95% percentile interval of the draws after it."""
    known = draws[1:][np.isfinite(draws[1:])]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return float(draws[0]), float(low), float(high)
