"""Interests extracted from the events, and their evolution."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics
from interestlab_dynamics.silence import with_days


class EvolutionState(NamedTuple):
    """Where both units stand.

    Attributes:
        extracted: ``[B, D]`` the memory of the extractor.
        evolved: ``[B, D]`` the memory of the evolution.
    """

    extracted: Tensor
    evolved: Tensor


class Evolution(Dynamics):
    """DIEN (Zhou et al. 2019, arXiv 1809.03672): an interest extractor, and an evolution gated by attention (AUGRU).

    A first gated recurrent unit extracts the interest ``i_t`` behind each event. A second follows those that agree with
    where the interest h has got to::

        a = σ((W_a i_t + b_a)·h_{t-1} / √D)
        r = σ(W_r i_t + U_r h_{t-1} + b_r),    u = a σ(W_u i_t + U_u h_{t-1} + b_u)
        n = tanh(W_n i_t + r (U_n h_{t-1}) + b_n)
        h_t = (1 − u) h_{t-1} + u n,           z_t = W h_t + b

    Deviations. DIEN attends with the item that is to be judged, one of a few; here z is compared with the whole catalogue, and
    so the latest interest ``h_{t-1}`` takes its place. DIEN's softmax over the history would let later events weigh earlier
    ones, and is a sigmoid of each event here. The auxiliary loss is left out: the extractor is to foretell the next event,
    which the objective asks of every z.

    The elapsed time is an input of the extractor, ``[x, log(1 + days)]``; DIEN has none. A silence alone moves nothing.

    Args:
        dim: width of the model.
        dropout: share of the events' channels dropped in training.
        time: read the days since the previous event; otherwise only the order is seen.
    """

    def __init__(self, dim: int, dropout: float = 0.2, time: bool = True) -> None:
        super().__init__()
        self.dim = dim
        self.time = time
        self.dropout = nn.Dropout(dropout)
        self.extractor = nn.GRU(dim + int(time), dim, batch_first=True)
        self.key = nn.Linear(dim, dim)
        self.inputs = nn.Linear(dim, 3 * dim)
        self.recurrent = nn.Linear(dim, 3 * dim, bias=False)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        return self.follow(self.init_state(len(x)), x, dt)[1]

    def init_state(self, batch_size: int) -> EvolutionState:
        none = self.out.weight.new_zeros(batch_size, self.dim)
        return EvolutionState(none, none)

    def step(self, state: EvolutionState, x: Tensor, dt: Tensor) -> tuple[EvolutionState, Tensor]:
        state, z = self.follow(state, x.unsqueeze(1), dt.unsqueeze(1))
        return state, z.squeeze(1)

    def readout(self, state: EvolutionState) -> Tensor:
        return self.out(state.evolved)

    def follow(self, state: EvolutionState, x: Tensor, dt: Tensor) -> tuple[EvolutionState, Tensor]:
        """Go on from a state with events ``[B, T, D]`` -> the state after them and ``z [B, T, D]``."""
        x = self.dropout(x)
        interests, extracted = self.extractor(with_days(x, dt) if self.time else x, state.extracted.unsqueeze(0))
        keys, gates = self.key(interests) / self.dim**0.5, self.inputs(interests)
        h, hs = state.evolved, []
        for key, gate in zip(keys.unbind(1), gates.unbind(1), strict=True):
            h = self.evolve(h, key, gate)
            hs.append(h)
        return EvolutionState(extracted.squeeze(0), h), self.out(torch.stack(hs, 1))

    def evolve(self, h: Tensor, key: Tensor, gate: Tensor) -> Tensor:
        """One event: ``key [B, D]`` and ``gate [B, 3 D]`` are what attention and the gates have of its interest."""
        attention = torch.sigmoid((key * h).sum(-1, keepdim=True))
        (reset, update, new), (reset_h, update_h, new_h) = gate.chunk(3, -1), self.recurrent(h).chunk(3, -1)
        update = attention * torch.sigmoid(update + update_h)
        new = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
        return h + update * (new - h)
