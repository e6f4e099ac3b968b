"""The evolution equation: Polyak's heavy ball."""

import torch
from torch import Tensor, nn

from interestlab_dynamics.filter import LinearFilter, bounded, unbounded


class Momentum(LinearFilter):
    """Interest with momentum: ``z_t = (1 + α − β) z_{t-1} − α z_{t-2} + β g(x_t)``, α and β learnt in each channel.

    It is a step of gradient descent on ``½‖g(x_t) − z‖²`` from ``z_{t-1}``, with rate β and momentum α: the heavy ball
    of Polyak (1964, USSR Comput. Math. Math. Phys. 4(5)). ``g`` is linear, at first the identity. The first event sets
    the interest, at rest.

    Stable in the triangle |α| < 1, 0 < β < 2(1 + α) (Jury's criterion), which training cannot leave: α is a scaled tanh
    and β a share of 2(1 + α) by a sigmoid, both with a margin of 0.001. After Δt days of silence the gains are
    ``w (α, β) + (1 − w) (0, 1)``, ``w = exp(−Δt/τ)``; the triangle is convex and holds (0, 1), so no Δt leaves it. This
    is stability of the frozen coefficients, not a proof for every sequence of them.

    Args:
        dim: width of the model.
        alpha: momentum at the start, between -1 and 1; 0 is an EWMA.
        beta: share of the gap to the event that is closed at once, at the start, between 0 and 2(1 + alpha).
        time_constant: τ in days at the start, the silence after which 1/e of the memory is left; None: time is ignored.

    Raises:
        ValueError: an argument is outside of its range.
    """

    def __init__(self, dim: int, alpha: float = 0.5, beta: float = 0.5, time_constant: float | None = 365.0) -> None:
        super().__init__(dim, time_constant)
        if not -1 < alpha < 1:
            raise ValueError(f"alpha is {alpha}; it must lie between -1 and 1")
        raw_alpha = unbounded((1 + alpha) / 2, "(1 + alpha) / 2")
        raw_beta = unbounded(beta / (2 * (1 + alpha)), f"beta is {beta}; its share of 2(1 + alpha) = {2 * (1 + alpha):g}")
        self.raw_alpha = nn.Parameter(torch.full((dim,), raw_alpha))
        self.raw_beta = nn.Parameter(torch.full((dim,), raw_beta))

    def gains(self) -> tuple[Tensor, Tensor]:
        # tanh(a) = 2 sigmoid(2a) − 1; the factor is left to the learning rate.
        half = bounded(self.raw_alpha)
        return 2 * half - 1, 4 * half * bounded(self.raw_beta)
