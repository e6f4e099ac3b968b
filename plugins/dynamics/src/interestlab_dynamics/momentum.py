"""Momentum of the user state: Polyak's heavy ball."""

from typing import Literal

import torch
from torch import Tensor, nn

from interestlab_dynamics.evidence_correction import EvidenceCorrection
from interestlab_dynamics.linear_filter import FilterState, LinearFilter, bounded_sigmoid, inverse_bounded_sigmoid


class Momentum(LinearFilter):
    """A stable second-order filter with learnt gains: ``z_t = (1 + α − β) z_{t-1} − α z_{t-2} + β g(x_t)``.

    Each event is a gradient step on ``½‖g(x_t) − z‖²`` from ``z_{t-1}`` with learning rate β and momentum α. ``g`` is linear,
    initialised as identity; α and β are learnt per channel. The first event sets the user state: ``z_1 = z_0 = g(x_1)``.

    The filter is stable in the triangle |α| < 1, 0 < β < 2(1 + α) (Jury's criterion). Training cannot leave it: α is a scaled
    tanh and β a sigmoid share of 2(1 + α), both with a margin of 0.001. After Δt days the gains are
    ``w (α, β) + (1 − w) (0, 1)`` with ``w = exp(−Δt/τ)``; the triangle is convex and contains (0, 1), so no Δt leaves it. This
    is stability for frozen coefficients, not a proof for every sequence of them.

    The equation can be written as ``z_t = z_{t-1} + α (z_{t-1} − z_{t-2}) + β δ_t``. With ``delta=evidence``,
    ``δ_t = g(x_t) − z_{t-1}``. With ``delta=network``, ``δ_t = g(x_t) − z_{t-1} + s tanh(MLP([x_t, z_{t-1}, x_t·z_{t-1}]))``,
    also for the first event. The last layer of the network is initialised with zeros; s, the root mean square of x_t, bounds
    the correction.

    Source: Polyak 1964, USSR Comput. Math. Math. Phys. 4(5).

    Args:
        dim: width of the model.
        alpha: initial momentum, between -0.998 and 0.998; at 0, the default, training starts from an EWMA.
        beta: initial share of the gap to the event that is closed at once, between 0 and 2(1 + alpha).
        time_constant: initial τ in days, after which 1/e of the memory remains; None ignores time.
        delta: ``evidence``, or ``network`` for the evidence with a learnt correction.
        dropout: share of each event's channels dropped in training.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        dim: int,
        alpha: float = 0.0,
        beta: float = 0.3,
        time_constant: float | None = 365.0,
        delta: Literal["evidence", "network"] = "evidence",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dim, time_constant, dropout)
        if delta not in ("evidence", "network"):
            raise ValueError(f"delta is {delta!r}; it must be evidence or network")
        if not -1 < alpha < 1:
            raise ValueError(f"alpha is {alpha}; it must be between -1 and 1")
        raw_alpha = inverse_bounded_sigmoid((1 + alpha) / 2, f"alpha is {alpha}; (1 + alpha) / 2")
        beta_share = beta / (2 * (1 + alpha))
        raw_beta = inverse_bounded_sigmoid(beta_share, f"beta is {beta}; its share of 2(1 + alpha) = {2 * (1 + alpha):g}")
        self.raw_alpha = nn.Parameter(torch.full((dim,), raw_alpha))
        self.raw_beta = nn.Parameter(torch.full((dim,), raw_beta))
        self.correction = EvidenceCorrection(dim) if delta == "network" else None

    def gains(self) -> tuple[Tensor, Tensor]:
        # tanh(a) = 2 sigmoid(2a) − 1; the learning rate absorbs the factor 2.
        half = bounded_sigmoid(self.raw_alpha)
        return 2 * half - 1, 4 * half * bounded_sigmoid(self.raw_beta)

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
