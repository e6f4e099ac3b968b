"""The exponentially weighted moving average: the baseline that every dynamics must beat."""

import torch
from torch import Tensor, nn

from interestlab_dynamics.filter import LinearFilter, bounded, unbounded


class EWMA(LinearFilter):
    """An exponentially weighted moving average, ``z_t = (1 − β) z_{t-1} + β g(x_t)``, β learnt in each channel.

    Exactly :class:`~interestlab_dynamics.momentum.Momentum` with α = 0 (Holt 1957; Brown 1959). ``g`` is linear, at first
    the identity; ``z_1 = g(x_1)``. After Δt days of silence β is ``w β + (1 − w)``, ``w = exp(−Δt/τ)``.

    Args:
        dim: width of the model.
        beta: weight of the newest event at the start, between 0 and 1.
        time_constant: τ in days at the start, the silence after which 1/e of the memory is left; None: time is ignored.

    Raises:
        ValueError: an argument is outside of its range.
    """

    def __init__(self, dim: int, beta: float = 0.3, time_constant: float | None = 365.0) -> None:
        super().__init__(dim, time_constant)
        self.raw_beta = nn.Parameter(torch.full((dim,), unbounded(beta, "beta")))

    def gains(self) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(self.raw_beta), bounded(self.raw_beta)
