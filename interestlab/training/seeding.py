"""Seed all random number generators of a process."""

import random
from collections.abc import Sequence

import numpy as np
import torch


def seed_everything_from(numbers: Sequence[int]) -> None:
    """Seed the generators of torch (on every device), NumPy and Python.

    Args:
        numbers: non-negative integers; the same numbers give the same seed.
    """
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
