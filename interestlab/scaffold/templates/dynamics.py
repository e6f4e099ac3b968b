"""A dynamics: a leaky average with a learnt rate."""

import math

import torch
from interestlab.contract import Dynamics
from torch import Tensor, nn


class MyPlugin(Dynamics):
    """A leaky average of the events, ``z_t = z_{t-1} + rate (x_t - z_{t-1})``, with a learnt rate per channel.

    Args:
        dim: width of the model.
        rate: initial weight of an event, between 0 and 1.

    Raises:
        ValueError: the rate is out of its range.
    """

    def __init__(self, dim: int, rate: float = 0.3) -> None:
        super().__init__()
        if not 0 < rate < 1:
            raise ValueError(f"rate must be between 0 and 1, not {rate}")
        self.dim = dim
        self.logit = nn.Parameter(torch.full((dim,), math.log(rate / (1 - rate))))  # its sigmoid is always in the range

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        # The padding is on the right, after every real event, so the mask is not needed.
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
