"""The model that interestlab and a plain PyTorch loop both train, and the check that they train the same one."""

from collections.abc import Sequence
from typing import cast

from interestlab import dynamics
from interestlab.contract import Dynamics

DIM, TEMPERATURE, LEARNING_RATE, MAX_HISTORY = 64, 0.07, 1e-3, 50
TOLERANCE = 1e-4
"""Relative difference of two losses that counts as rounding."""


def transformer() -> Dynamics:
    """Return the dynamics of both models, with newly drawn weights."""
    return cast(Dynamics, dynamics.transformer(dim=DIM, layers=2, heads=2, dropout=0.3, max_length=MAX_HISTORY))


def relative_differences(losses: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Return ``|a - b| / |b|`` of each pair of losses.

    Raises:
        SystemExit: the two loops took different numbers of steps.
    """
    if len(losses) != len(reference):
        raise SystemExit(f"not the same loop: the framework took {len(losses)} steps and the plain loop {len(reference)}")
    return [abs(a - b) / abs(b) for a, b in zip(losses, reference, strict=True)]


def check_same_losses(losses: Sequence[float], reference: Sequence[float], where: str) -> None:
    """Stop the benchmark if the losses differ by more than rounding.

    Raises:
        SystemExit: the losses differ, so the two loops train different models and their times cannot be compared.
    """
    if any(difference > TOLERANCE for difference in relative_differences(losses, reference)):
        raise SystemExit(
            f"not the same model: {where}, the losses are {[*losses]} in the framework and {[*reference]} in the plain loop"
        )
