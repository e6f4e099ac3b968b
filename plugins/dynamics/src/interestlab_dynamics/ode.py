"""Continuous-time dynamics: the user state also changes between events."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics

VectorField = Callable[[Tensor], Tensor]
"""``dh/ds`` as a function of ``h``."""


class ODE(Dynamics):
    """Continuous time: the hidden state h relaxes towards a rest state between events, and each event updates it by a GRU.

    ``dh/dt = λ (m(h) − h)`` between events, ``h ← GRU(x, h)`` at an event, and ``z = W h + b``, with a learnt λ > 0 per
    channel. The solver determines m and the numerical method:

    - ``linear``: m is a learnt rest state ``m_0``, which is also the initial state. Then
      ``h(t + Δt) = m_0 + (h(t) − m_0) exp(−λ Δt)`` exactly. This is the decay of GRU-D (Che et al. 2018, arXiv 1606.01865)
      towards a state other than 0.
    - ``euler``, ``rk4``: m is ``m_0`` plus a network of h with one tanh layer, initialised with 0; the equation is solved
      with ``steps`` steps of Euler's or of the classical Runge-Kutta method. A step is at most one time constant 1 / λ of its
      channel, so that no elapsed time makes the method unstable: it covers at most ``steps`` time constants, after which h
      has reached a constant m.

    Advancing the state by Δt days and then processing an event without delay gives the same result as an event after Δt days. A
    negative Δt, from a clock that was set back, counts as 0.

    Source: GRU-ODE-Bayes, De Brouwer et al. 2019, arXiv 1905.12374.

    Args:
        dim: width of the model.
        solver: ``linear``, ``euler`` or ``rk4``.
        time_constant: initial 1 / λ in days, after which 1/e of the distance to the rest state remains.
        steps: number of solver steps between two events, for ``euler`` and ``rk4``.
        dropout: share of the events' channels dropped in training.

    Raises:
        ValueError: an argument is out of its range.
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
        self.rest_state = nn.Parameter(torch.zeros(dim))
        self.log_rate = nn.Parameter(torch.full((dim,), -math.log(time_constant)))
        self.network: nn.Sequential | None = None
        if solver != "linear":
            last = nn.Linear(dim, dim, bias=False)
            nn.init.zeros_(last.weight)
            self.network = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), last)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        h, hs = self.init_state(len(x)), []
        for x_t, dt_t in zip(self.dropout(x).unbind(1), dt.unbind(1), strict=True):
            h = self.cell(x_t, self.advance(h, dt_t))
            hs.append(h)
        return self.out(torch.stack(hs, 1))

    def init_state(self, batch_size: int) -> Tensor:
        return self.rest_state.expand(batch_size, -1)

    def step(self, state: Tensor, x: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        state = self.cell(self.dropout(x), self.advance(state, dt))
        return state, self.out(state)

    def readout(self, state: Tensor) -> Tensor:
        return self.out(state)

    def advance(self, state: Tensor, dt: Tensor) -> Tensor:
        time_constants = dt.clamp(min=0).unsqueeze(-1) * torch.exp(self.log_rate)
        if self.network is None:
            return state - torch.expm1(-time_constants) * (self.rest_state - state)
        step_size = (time_constants / self.steps).clamp(max=1)
        return SOLVERS[self.solver](self._vector_field, state, step_size, self.steps)

    def _vector_field(self, h: Tensor) -> Tensor:
        """``m(h) − h``, the derivative with respect to time in units of the time constant."""
        assert self.network is not None
        return self.rest_state + self.network(h) - h


def euler(field: VectorField, h: Tensor, step_size: Tensor, steps: int) -> Tensor:
    """Integrate with Euler's method.

    Args:
        field: the derivative as a function of the state.
        h: initial state.
        step_size: length of a step, broadcastable with ``h``.
        steps: number of steps.

    Returns:
        the final state.
    """
    for _ in range(steps):
        h = h + step_size * field(h)
    return h


def rk4(field: VectorField, h: Tensor, step_size: Tensor, steps: int) -> Tensor:
    """Integrate with the classical Runge-Kutta method of fourth order.

    Args:
        field: the derivative as a function of the state.
        h: initial state.
        step_size: length of a step, broadcastable with ``h``.
        steps: number of steps.

    Returns:
        the final state.
    """
    for _ in range(steps):
        k1 = field(h)
        k2 = field(h + step_size / 2 * k1)
        k3 = field(h + step_size / 2 * k2)
        k4 = field(h + step_size * k3)
        h = h + step_size / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return h


SOLVERS = {"euler": euler, "rk4": rk4}
