"""An exponentially weighted moving average that another dynamics corrects."""

from typing import Any

import torch
from torch import Tensor, nn

import interestlab.dynamics
from interestlab.contract import Dynamics, State
from interestlab_dynamics.ewma import EWMA
from interestlab_dynamics.linear_filter import FilterState

HybridState = tuple[FilterState, State]
"""State of the average, and of the other dynamics."""


class Hybrid(Dynamics):
    """An exponentially weighted moving average plus any other dynamics: ``z = EWMA(x) + γ ⊙ inner(x)``.

    γ is learnt per channel and starts at 0, so training starts from the baseline and uses as much of the other dynamics as
    lowers the loss.

    Args:
        dim: width of the model.
        inner: name of the other dynamics.
        inner_args: arguments of the other dynamics, without ``dim``.
        beta: initial weight of the newest event in the average, between 0 and 1.
        time_constant: initial τ of the average in days, after which 1/e of the memory remains; None ignores time.
        dropout: share of each event's channels dropped in training, before the average.

    Raises:
        ValueError: an argument is out of its range, or the other dynamics refuses its arguments.
        PluginError: no dynamics has the name ``inner``.
    """

    def __init__(
        self,
        dim: int,
        inner: str = "transformer",
        inner_args: dict[str, Any] = {},  # noqa: B006 (read only)
        beta: float = 0.3,
        time_constant: float | None = 365.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.average = EWMA(dim, beta, time_constant, dropout)
        try:
            self.inner: Dynamics = getattr(interestlab.dynamics, inner)(dim=dim, **inner_args)
        except TypeError as err:
            raise ValueError(f"inner_args of {inner}: {err}") from err
        self.num_interests = self.inner.num_interests
        self.gamma = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        return self.join(self.average(x, dt, mask), self.inner(x, dt, mask))

    def join(self, average: Tensor, other: Tensor) -> Tensor:
        """Add the scaled state of the other dynamics to the average.

        Args:
            average: ``[..., D]``.
            other: ``[..., D]``, or ``[..., K, D]`` for several interests.

        Returns:
            The shape of ``other``.
        """
        return (average.unsqueeze(-2) if self.num_interests > 1 else average) + self.gamma * other

    def init_state(self, batch_size: int) -> HybridState:
        return self.average.init_state(batch_size), self.inner.init_state(batch_size)

    def step(self, state: HybridState, x: Tensor, dt: Tensor) -> tuple[HybridState, Tensor]:
        average, z = self.average.step(state[0], x, dt)
        inner, other = self.inner.step(state[1], x, dt)
        return (average, inner), self.join(z, other)

    def readout(self, state: HybridState) -> Tensor:
        return self.join(self.average.readout(state[0]), self.inner.readout(state[1]))

    def advance(self, state: HybridState, dt: Tensor) -> HybridState:
        return self.average.advance(state[0], dt), self.inner.advance(state[1], dt)
