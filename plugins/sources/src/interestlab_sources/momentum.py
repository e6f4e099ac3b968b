"""Simulated users whose interest follows the heavy ball: what they meet moves them, and they keep some of their speed."""

import numpy as np

from interestlab_sources.choice import choose
from interestlab_sources.shop import Floats, Ints

GAIN = 4.0
"""How sharply the state decides the next category. With 8 categories and a step of 0.3, seven sessions in ten are of the
category of the one before, yet twenty sessions later it is two in five: interests persist, and none holds a user for good."""


def popularity(rng: np.random.Generator, categories: int) -> Floats:
    """``[C]`` shares by which a user chooses who has met nothing yet."""
    return rng.dirichlet(np.full(categories, 20.0))


def follow(rng: np.random.Generator, sessions: Ints, base: Floats, alpha: float, beta: float) -> Ints:
    """The category of each session, user after user.

    A user's state ``z`` begins at rest, at zero. Session t is of a category drawn from ``softmax(GAIN z_{t-1} + log base)``;
    then, with ``g`` the one-hot of that category minus 1 / C,

        ``z_t = (1 + alpha - beta) z_{t-1} - alpha z_{t-2} + beta g_t``

    which is a gradient step of size beta on ``|z - g|^2 / 2`` with momentum alpha (Polyak, 1964).

    Args:
        rng: the source of chance.
        sessions: ``[U]`` how many of each user.
        base: ``[C]`` popularity, adds up to 1.
        alpha: momentum, between -1 and 1.
        beta: step, between 0 and 2 (1 + alpha): the state then stays bounded.
    """
    users, categories = sessions.size, base.size
    first = np.cumsum(sessions) - sessions
    category = np.zeros(sessions.sum(), np.int64)
    now, before = np.zeros((users, categories)), np.zeros((users, categories))
    for step in range(int(sessions.max())):
        here = np.flatnonzero(sessions > step)
        weight = base * np.exp(GAIN * (now[here] - now[here].max(axis=1, keepdims=True)))
        drawn = choose(weight / weight.sum(axis=1, keepdims=True), rng)
        category[first[here] + step] = drawn
        met = np.eye(categories)[drawn] - 1 / categories
        moved = (1 + alpha - beta) * now[here] - alpha * before[here] + beta * met
        before[here], now[here] = now[here], moved
    return category
