"""Synthetic sessions of users whose main interest changes, or does not."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

INTERESTS = 20


def plant(users: int, sessions: int, moved: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``[users, sessions]`` labels; at session ``[users]``, ``moved`` of the main share 0.6 goes to another interest."""
    rng = np.random.default_rng(seed)
    change = rng.integers(int(0.35 * sessions), int(0.65 * sessions) + 1, users)
    labels = np.empty((users, sessions), int)
    for user in range(users):
        before = 0.4 * rng.dirichlet(np.full(INTERESTS, 0.5))
        main, other = rng.choice(INTERESTS, 2, replace=False)
        before[main] += 0.6
        after = before.copy()
        after[main] -= moved
        after[other] += moved
        labels[user, : change[user]] = rng.choice(INTERESTS, change[user], p=before)
        labels[user, change[user] :] = rng.choice(INTERESTS, sessions - change[user], p=after)
    return labels, change


def session_offsets(users: Sequence[Sequence[int]] | np.ndarray) -> np.ndarray:
    """``[users + 1]`` index of each user's first session, and the number of all sessions."""
    return np.cumsum([0, *(len(user) for user in users)])


@pytest.fixture(scope="session")
def planted() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    return plant


@pytest.fixture(scope="session")
def offsets_of() -> Callable[..., np.ndarray]:
    return session_offsets
