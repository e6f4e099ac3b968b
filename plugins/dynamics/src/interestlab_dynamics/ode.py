"""An interest that moves between the events too, along a differential equation."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics

Field = Callable[[Tensor], Tensor]
"""``dh/ds`` at ``h``."""


class ODE(Dynamics):
    """Continuous time: the memory h drifts to rest between the events, and each event moves it by a gated recurrent unit.

    ``dh/dt = λ (m(h) − h)``, at an event ``h ← GRU(x, h)``, and ``z = W h + b``, as in GRU-ODE-Bayes (De Brouwer et al. 2019,
    arXiv 1905.12374), with λ > 0 learnt in each channel. The solver says what m is and how the equation is solved:

    - ``linear``: ``m_0``, learnt, where h also is before the first event. Then
      ``h(t + Δt) = m_0 + (h(t) − m_0) exp(−λ Δt)`` exactly: the decay of GRU-D (Che et al. 2018, arXiv 1606.01865), to a
      place other than 0.
    - ``euler``, ``rk4``: ``m_0`` and a perceptron of h with one tanh layer, at first 0; ``steps`` steps of Euler's or of the
      classical Runge-Kutta method. No step is longer than the time constant 1 / λ of its channel, so that no silence makes
      them unstable: it counts up to ``steps`` time constants, by when a drift to a fixed m has come to rest.

    A drift of Δt days and an event at once is the same as an event after Δt days. A negative Δt, from a clock that was set
    back, counts as 0.

    Args:
        dim: width of the model.
        solver: ``linear``, ``euler`` or ``rk4``.
        time_constant: 1 / λ in days at the start, the silence after which 1/e of the way to rest is left.
        steps: steps of a silence, for ``euler`` and ``rk4``.
        dropout: share of the events' channels dropped in training.

    Raises:
        ValueError: an argument is outside of its range.
    """

    def __init__(
        self,
        dim: int,
        solver: Literal["linear", "euler", "rk4"] = "linear",
        time_constant: float = 365.0,
        steps: int = 8,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if solver not in ("linear", *SOLVERS):
            raise ValueError(f"solver is {solver!r}; it must be linear, {' or '.join(SOLVERS)}")
        if not 0 < time_constant < math.inf:
            raise ValueError(f"time_constant is {time_constant} days; it must be positive and finite")
        if steps < 1:
            raise ValueError(f"steps is {steps}; it must be positive")
        self.dim = dim
        self.solver = solver
        self.steps = steps
        self.dropout = nn.Dropout(dropout)
        self.cell = nn.GRUCell(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.rest = nn.Parameter(torch.zeros(dim))
        self.log_rate = nn.Parameter(torch.full((dim,), -math.log(time_constant)))
        self.pull: nn.Sequential | None = None
        if solver != "linear":
            last = nn.Linear(dim, dim, bias=False)
            nn.init.zeros_(last.weight)
            self.pull = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), last)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        h, hs = self.init_state(len(x)), []
        for x_t, dt_t in zip(self.dropout(x).unbind(1), dt.unbind(1), strict=True):
            h = self.cell(x_t, self.advance(h, dt_t))
            hs.append(h)
        return self.out(torch.stack(hs, 1))

    def init_state(self, batch_size: int) -> Tensor:
        return self.rest.expand(batch_size, -1)

    def step(self, state: Tensor, x: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        state = self.cell(self.dropout(x), self.advance(state, dt))
        return state, self.out(state)

    def readout(self, state: Tensor) -> Tensor:
        return self.out(state)

    def advance(self, state: Tensor, dt: Tensor) -> Tensor:
        # Time constants of each channel.
        elapsed = dt.clamp(min=0).unsqueeze(-1) * torch.exp(self.log_rate)
        if self.pull is None:
            return state - torch.expm1(-elapsed) * (self.rest - state)
        return SOLVERS[self.solver](self.field, state, (elapsed / self.steps).clamp(max=1), self.steps)

    def field(self, h: Tensor) -> Tensor:
        """``m(h) − h``: the way of one time constant."""
        assert self.pull is not None
        return self.rest + self.pull(h) - h


def euler(field: Field, h: Tensor, size: Tensor, steps: int) -> Tensor:
    """``steps`` steps of Euler's method."""
    for _ in range(steps):
        h = h + size * field(h)
    return h


def rk4(field: Field, h: Tensor, size: Tensor, steps: int) -> Tensor:
    """``steps`` steps of the classical Runge-Kutta method, of fourth order."""
    for _ in range(steps):
        k1 = field(h)
        k2 = field(h + size / 2 * k1)
        k3 = field(h + size / 2 * k2)
        k4 = field(h + size * k3)
        h = h + size / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return h


SOLVERS = {"euler": euler, "rk4": rk4}
