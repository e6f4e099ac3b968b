"""A dynamics: a recurrent network that uses the time between events."""

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics


class GRU(Dynamics):
    """A gated recurrent unit (Cho et al. 2014, arXiv 1406.1078) over the events and the log of the days between them.

    Args:
        dim: width of the model.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.cell = nn.GRUCell(dim + 1, dim)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        # The padding is on the right, after every real event, so the mask is not needed.
        state, zs = self.init_state(len(x)), []
        for t in range(x.shape[1]):
            state, z = self.step(state, x[:, t], dt[:, t])
            zs.append(z)
        return torch.stack(zs, 1)

    def init_state(self, batch_size: int) -> Tensor:
        return self.cell.weight_hh.new_zeros(batch_size, self.dim)

    def step(self, state: Tensor, x: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        days = torch.log1p(dt.clamp(min=0)).to(x.dtype)  # a clock that was set back counts as no time
        state = self.cell(torch.cat([x, days[:, None]], 1), state)
        return state, state

    def readout(self, state: Tensor) -> Tensor:
        return state
