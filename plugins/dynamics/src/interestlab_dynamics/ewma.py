"""The exponentially weighted moving average."""

import torch
from torch import Tensor, nn

from interestlab_dynamics.linear_filter import LinearFilter, bounded_sigmoid, inverse_bounded_sigmoid


class EWMA(LinearFilter):
    """An exponentially weighted moving average with a learnt rate per channel: ``z_t = (1 − β) z_{t-1} + β g(x_t)``.

    This is :class:`~interestlab_dynamics.momentum.Momentum` with α = 0, the baseline of every dynamics. ``g`` is linear,
    initialised as identity; ``z_1 = g(x_1)``. After Δt days β is ``w β + (1 − w)`` with ``w = exp(−Δt/τ)``.

    Source: Brown 1959; Holt 1957.

    Args:
        dim: width of the model.
        beta: initial weight of the newest event, between 0 and 1.
        time_constant: initial τ in days, after which 1/e of the memory remains; None ignores time.
        dropout: share of each event's channels dropped in training.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, dim: int, beta: float = 0.3, time_constant: float | None = 365.0, dropout: float = 0.0) -> None:
        super().__init__(dim, time_constant, dropout)
        self.raw_beta = nn.Parameter(torch.full((dim,), inverse_bounded_sigmoid(beta, "beta")))

    def gains(self) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(self.raw_beta), bounded_sigmoid(self.raw_beta)
