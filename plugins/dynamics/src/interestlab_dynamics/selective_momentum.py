"""Momentum whose gains depend on the event and on the user state."""

import torch
from torch import Tensor, nn

from interestlab_dynamics.linear_filter import FilterState, bounded_sigmoid
from interestlab_dynamics.momentum import Momentum


class SelectiveMomentum(Momentum):
    """Momentum with selective gains: how much of an event enters the user state depends on both.

    ``z_t = z_{t-1} + α_t (z_{t-1} − z_{t-2}) + β_t (g(x_t) − z_{t-1})``. A small network of ``[x_t, z_{t-1}, x_t ⊙ z_{t-1}]``
    shifts the raw gains of ``momentum``, per head. Its last layer starts at zero, so training starts from ``momentum``, and
    with α = 0 from ``ewma``. The shifted gains go through the same maps, so each pair (α_t, β_t) lies in the stability
    triangle for all weights. Elapsed time then fades them as in ``momentum``.

    Events are processed one by one: T positions take O(T D H), like a gated recurrent unit.

    Source: the evolution equation with learnt momentum; selection as in Mamba, Gu and Dao 2023, arXiv 2312.00752.

    Args:
        dim: width of the model.
        heads: number of groups of channels that share their shift; must divide ``dim``.
        hidden: width H of the network.
        alpha: initial momentum, between -0.998 and 0.998.
        beta: initial share of the gap to the event that is closed at once, between 0 and 2(1 + alpha).
        time_constant: initial τ in days, after which 1/e of the memory remains; None ignores time.
        dropout: share of each event's channels dropped in training.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        dim: int,
        heads: int = 4,
        hidden: int = 32,
        alpha: float = 0.0,
        beta: float = 0.3,
        time_constant: float | None = 365.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(dim, alpha, beta, time_constant, dropout=dropout)
        if heads < 1 or dim % heads:
            raise ValueError(f"dim {dim} is not divisible by heads {heads}")
        if hidden < 1:
            raise ValueError(f"hidden is {hidden}; it must be positive")
        self.heads = heads
        self.from_event = nn.Linear(dim, hidden)
        self.from_state = nn.Linear(dim, hidden, bias=False)
        self.from_product = nn.Linear(dim, hidden, bias=False)
        self.shift = nn.Linear(hidden, 2 * heads)
        nn.init.zeros_(self.shift.weight)
        nn.init.zeros_(self.shift.bias)

    def selected_gains(self, x: Tensor, z: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gains for an event.

        Args:
            x: ``[B, D]`` embedding of the event.
            z: ``[B, D]`` user state before it.
            dt: ``[B]`` days since the previous event.

        Returns:
            α ``[B, D]`` and β ``[B, D]``.
        """
        features = torch.tanh(self.from_event(x) + self.from_state(z) + self.from_product(x * z))
        shifts = self.shift(features).to(self.raw_alpha.dtype).unflatten(-1, (2, self.heads))
        alpha_shift, beta_shift = shifts.repeat_interleave(self.dim // self.heads, -1).unbind(-2)
        half = bounded_sigmoid(self.raw_alpha + alpha_shift)
        beta = 4 * half * bounded_sigmoid(self.raw_beta + beta_shift)
        return self.fade(2 * half - 1, beta, dt)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        state, zs = self.init_state(len(x)), []
        for x_t, dt_t in zip(x.unbind(1), dt.unbind(1), strict=True):
            state, z = self.step(state, x_t, dt_t)
            zs.append(z)
        return torch.stack(zs, 1)

    def step(self, state: FilterState, x: Tensor, dt: Tensor) -> tuple[FilterState, Tensor]:
        x = self.dropout(x)
        g = self.in_proj(x).to(self.raw_alpha.dtype)
        started = state.started.unsqueeze(-1)
        z, previous = torch.where(started, state.z, g), torch.where(started, state.previous, g)
        alpha, beta = self.selected_gains(x, z, dt)
        new_z = z + alpha * (z - previous) + beta * (g - z)
        return FilterState(new_z, z, torch.ones_like(state.started)), new_z
