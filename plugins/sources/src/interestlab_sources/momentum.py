"""Simulated users whose interest follows heavy-ball momentum: each session moves it, and it retains part of its velocity."""

import numpy as np

from interestlab_sources.choice import sample_rows
from interestlab_sources.shop import Floats, Ints

GAIN = 4.0
"""How strongly the state determines the next category. With 8 categories and a step of 0.3, 70% of sessions have the category
of the previous session, and 40% that of the session twenty before: interests persist, but not forever."""


def sample_popularity(rng: np.random.Generator, categories: int) -> Floats:
    """Sample the category probabilities of a user without history.

    Args:
        rng: random generator.
        categories: their number C.

    Returns:
        ``[C]`` probabilities.
    """
    return rng.dirichlet(np.full(categories, 20.0))


def simulate_categories(rng: np.random.Generator, sessions: Ints, base: Floats, alpha: float, beta: float) -> Ints:
    """Simulate the category of each session.

    A user's state ``z`` starts at zero without velocity. The category of session t is sampled from
    ``softmax(GAIN z_{t-1} + log base)``; then, with ``g`` the one-hot vector of that category minus 1 / C,

        ``z_t = (1 + alpha - beta) z_{t-1} - alpha z_{t-2} + beta g_t``

    which is a gradient step of size beta on ``|z - g|^2 / 2`` with momentum alpha (Polyak, 1964).

    Args:
        rng: random generator.
        sessions: ``[U]`` number of sessions of each user.
        base: ``[C]`` popularity; sums to 1.
        alpha: momentum, between -1 and 1.
        beta: step size, between 0 and 2 (1 + alpha), where the state is bounded.

    Returns:
        ``[S]`` category of each session, ordered by user.
    """
    users, categories = sessions.size, base.size
    first = np.cumsum(sessions) - sessions
    category = np.zeros(sessions.sum(), np.int64)
    state, previous = np.zeros((users, categories)), np.zeros((users, categories))
    for step in range(int(sessions.max())):
        active = np.flatnonzero(sessions > step)
        weight = base * np.exp(GAIN * (state[active] - state[active].max(axis=1, keepdims=True)))
        sampled = sample_rows(weight / weight.sum(axis=1, keepdims=True), rng)
        category[first[active] + step] = sampled
        target = np.eye(categories)[sampled] - 1 / categories
        moved = (1 + alpha - beta) * state[active] - alpha * previous[active] + beta * target
        previous[active], state[active] = state[active], moved
    return category
