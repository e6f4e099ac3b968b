"""The settings that a search tries next: proposals of Optuna's TPE sampler, without repetitions."""

import hashlib
import json
import math
import random
from collections.abc import Sequence
from itertools import product
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from interestlab.sweep.search.space import Choices, Range, Space, space_settings

ATTEMPTS = 10
"""How many proposals of the sampler may repeat earlier settings before an untried point is chosen at random."""

LARGE = 100_000
"""Number of points above which a space is not enumerated."""


def next_point(space: Space, trials: Sequence[FrozenTrial], direction: StudyDirection, seed: int) -> dict[str, Any] | None:
    """Return the point of a space to try next. It follows from the arguments alone.

    A search that was interrupted therefore continues as if it had not been, which a sampler's own random state would not give.

    Args:
        space: what is searched.
        trials: all trials so far, running ones included.
        direction: direction of the metric.
        seed: seed of the search.

    Returns:
        Label or number by name; None if all points were tried.
    """
    seeds = [derive_seed(seed, len(trials), attempt) for attempt in range(ATTEMPTS)]
    tried = [space_settings(space, trial.params) for trial in trials]
    for sampler_seed in seeds:
        memory = optuna.create_study(direction=direction, sampler=TPESampler(seed=sampler_seed))
        memory.add_trials(trials)
        params = memory.ask(distributions(space)).params
        if space_settings(space, params) not in tried:
            return params
    entry_values = [values(entry) or () for entry in space.values()]  # no points if one has infinitely many values
    points = product(*entry_values) if math.prod(map(len, entry_values)) <= LARGE else ()
    candidates = [dict(zip(space, point, strict=True)) for point in points]
    untried = [point for point in candidates if space_settings(space, point) not in tried]
    return random.Random(seeds[0]).choice(untried) if untried else None


def distributions(space: Space) -> dict[str, BaseDistribution]:
    """Return Optuna's form of a space.

    Args:
        space: what is searched.
    """
    return {name: distribution(entry) for name, entry in space.items()}


def distribution(entry: Choices | Range) -> BaseDistribution:
    """Return Optuna's form of an entry of the space.

    Args:
        entry: choices or a range.
    """
    if isinstance(entry, Choices):
        return CategoricalDistribution(list(entry.settings))
    if entry.is_whole:
        return IntDistribution(int(entry.low), int(entry.high), log=entry.log, step=int(entry.step or 1))
    return FloatDistribution(entry.low, entry.high, log=entry.log, step=entry.step)


def values(entry: Choices | Range) -> list[Any] | None:
    """Return all values of an entry of the space; None if there are infinitely many.

    Args:
        entry: choices or a range.
    """
    return list(entry.settings) if isinstance(entry, Choices) else entry.values


def derive_seed(*parts: int) -> int:
    """Return a seed that follows from some numbers.

    Args:
        *parts: the numbers.
    """
    return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:4], "big")
