"""A dynamics: a leaky average whose rate is learnt."""

import math

import torch
from interestlab.contract import Dynamics
from torch import Tensor, nn


class MyPlugin(Dynamics):
    """A leaky average of the events, ``z_t = z_{t-1} + rate (x_t - z_{t-1})``, the rate learnt in each channel.

    Args:
        dim: width of the model.
        rate: how far an event pulls the interest at the start, between 0 and 1.

    Raises:
        ValueError: the rate is out of its range.
    """

    def __init__(self, dim: int, rate: float = 0.3) -> None:
        super().__init__()
        if not 0 < rate < 1:
            raise ValueError(f"rate must lie between 0 and 1, not {rate}")
        self.dim = dim
        self.logit = nn.Parameter(torch.full((dim,), math.log(rate / (1 - rate))))  # a sigmoid keeps it in its range

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        # The padding is on the right, so no real event comes after it: the mask is not needed.
        state, zs = self.init_state(len(x)), []
        for t in range(x.shape[1]):
            state, z = self.step(state, x[:, t], dt[:, t])
            zs.append(z)
        return torch.stack(zs, 1)

    def init_state(self, batch_size: int) -> Tensor:
        return self.logit.new_zeros(batch_size, self.dim)

    def step(self, state: Tensor, x: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        z = state + torch.sigmoid(self.logit) * (x - state)
        return z, z

    def readout(self, state: Tensor) -> Tensor:
        return state
