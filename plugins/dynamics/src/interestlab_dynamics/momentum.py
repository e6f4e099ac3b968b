"""The evolution equation: Polyak's heavy ball."""

from typing import Literal

import torch
from torch import Tensor, nn

from interestlab_dynamics.correction import Correction
from interestlab_dynamics.filter import FilterState, LinearFilter, bounded, unbounded


class Momentum(LinearFilter):
    """Interest with momentum: ``z_t = (1 + α − β) z_{t-1} − α z_{t-2} + β g(x_t)``, α and β learnt in each channel.

    It is a step of gradient descent on ``½‖g(x_t) − z‖²`` from ``z_{t-1}``, with rate β and momentum α: the heavy ball
    of Polyak (1964, USSR Comput. Math. Math. Phys. 4(5)). ``g`` is linear, at first the identity. The first event sets
    the interest, at rest.

    Stable in the triangle |α| < 1, 0 < β < 2(1 + α) (Jury's criterion), which training cannot leave: α is a scaled tanh
    and β a share of 2(1 + α) by a sigmoid, both with a margin of 0.001. After Δt days of silence the gains are
    ``w (α, β) + (1 − w) (0, 1)``, ``w = exp(−Δt/τ)``; the triangle is convex and holds (0, 1), so no Δt leaves it. This
    is stability of the frozen coefficients, not a proof for every sequence of them.

    In other words ``z_t = z_{t-1} + α (z_{t-1} − z_{t-2}) + β δ_t``. The ``evidence`` is ``δ_t = g(x_t) − z_{t-1}``. A
    ``network`` makes it ``g(x_t) − z_{t-1} + s tanh(MLP([x_t, z_{t-1}, x_t·z_{t-1}]))``, from the first event on. Its last
    layer starts at 0, so it begins as the evidence; s, the root mean square of x_t, bounds what it can add.

    Args:
        dim: width of the model.
        alpha: momentum at the start, between -0.998 and 0.998; 0 is an EWMA.
        beta: share of the gap to the event that is closed at once, at the start, between 0 and 2(1 + alpha).
        time_constant: τ in days at the start, the silence after which 1/e of the memory is left; None: time is ignored.
        delta: what draws the interest: ``evidence``, or a ``network`` that learns what to add to it.

    Raises:
        ValueError: an argument is outside of its range.
    """

    def __init__(
        self,
        dim: int,
        alpha: float = 0.5,
        beta: float = 0.5,
        time_constant: float | None = 365.0,
        delta: Literal["evidence", "network"] = "evidence",
    ) -> None:
        super().__init__(dim, time_constant)
        if delta not in ("evidence", "network"):
            raise ValueError(f"delta is {delta!r}; it must be evidence or network")
        if not -1 < alpha < 1:
            raise ValueError(f"alpha is {alpha}; it must lie between -1 and 1")
        raw_alpha = unbounded((1 + alpha) / 2, f"alpha is {alpha}; (1 + alpha) / 2")
        raw_beta = unbounded(beta / (2 * (1 + alpha)), f"beta is {beta}; its share of 2(1 + alpha) = {2 * (1 + alpha):g}")
        self.raw_alpha = nn.Parameter(torch.full((dim,), raw_alpha))
        self.raw_beta = nn.Parameter(torch.full((dim,), raw_beta))
        self.correction = Correction(dim) if delta == "network" else None

    def gains(self) -> tuple[Tensor, Tensor]:
        # tanh(a) = 2 sigmoid(2a) − 1; the factor is left to the learning rate.
        half = bounded(self.raw_alpha)
        return 2 * half - 1, 4 * half * bounded(self.raw_beta)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        if self.correction is None:
            return super().forward(x, dt, mask)
        state, zs = self.init_state(len(x)), []
        for x_t, dt_t in zip(x.unbind(1), dt.unbind(1), strict=True):
            state, z = self.step(state, x_t, dt_t)
            zs.append(z)
        return torch.stack(zs, 1)

    def step(self, state: FilterState, x: Tensor, dt: Tensor) -> tuple[FilterState, Tensor]:
        state, z = super().step(state, x, dt)
        if self.correction is None:
            return state, z
        _, beta = self.gains_after(dt)
        z = z + beta * self.correction(x, state.previous)
        return state._replace(z=z), z
