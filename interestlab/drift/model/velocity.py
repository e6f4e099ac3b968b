"""How fast the user states of a trained model move."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from interestlab.data.dataset import DAY

HOUR = 1 / 24


class Velocity(NamedTuple):
    """How fast the user state moves.

    Attributes:
        event: ``[n]`` distance that the user state moves at each event; NaN at a user's first.
        day: ``[n]`` the same per day since the previous event.
    """

    event: np.ndarray
    day: np.ndarray


def velocity(z: Tensor, users: np.ndarray, times: np.ndarray) -> Velocity:
    r"""Compute :math:`\|z_t - z_{t-1}\|` along trajectories, and the same over :math:`\max(\Delta t, 1\,\text{hour})` in days.

    Less than an hour counts as an hour. Otherwise two clicks of one visit would be the fastest of all moves.

    Args:
        z: ``[n, D]`` by user and time, normalized where only directions count; or ``[n, K, D]`` with K interests, whose
            distance is the root mean square over them.
        users: ``[n]`` user of each event.
        times: ``[n]`` unix seconds.
    """
    distance = (z[1:] - z[:-1]).norm(dim=-1)
    distance = distance if distance.ndim == 1 else distance.square().mean(1).sqrt()
    out = np.full(len(users), np.nan)
    out[1:] = np.where(users[1:] == users[:-1], distance.double().numpy(), np.nan)
    days = np.diff(times, prepend=times[:1]) / DAY
    return Velocity(out, out / np.maximum(days, HOUR))
