"""Interest extraction and evolution (DIEN)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics
from interestlab_dynamics.elapsed_time import append_log_days


class EvolutionState(NamedTuple):
    """The hidden states of both units.

    Attributes:
        extracted: ``[B, D]`` hidden state of the interest extractor.
        evolved: ``[B, D]`` hidden state of the interest evolution.
    """

    extracted: Tensor
    evolved: Tensor


class Evolution(Dynamics):
    """DIEN: an interest extractor and an interest evolution with attentional update gate (AUGRU).

    A first GRU extracts the interest ``i_t`` of each event. A second GRU follows the interests that agree with its hidden
    state h::

        a = σ((W_a i_t + b_a)·h_{t-1} / √D)
        r = σ(W_r i_t + U_r h_{t-1} + b_r),    u = a σ(W_u i_t + U_u h_{t-1} + b_u)
        n = tanh(W_n i_t + r (U_n h_{t-1}) + b_n)
        h_t = (1 − u) h_{t-1} + u n,           z_t = W h_t + b

    Differences from the paper: DIEN attends with the candidate item; here z is compared with the whole catalogue, so the
    latest hidden state ``h_{t-1}`` takes its place. DIEN's softmax over the history would let later events influence earlier
    weights; here each event has its own sigmoid. The auxiliary loss, which predicts the next event from each extracted
    interest, is left out: the objective already predicts it from every z.

    The elapsed time is an input of the extractor, ``[x, log(1 + days)]``; DIEN has none. It takes effect with the next event,
    so time alone does not change the user state.

    Source: Zhou et al. 2019, arXiv 1809.03672.

    Args:
        dim: width of the model.
        dropout: share of the events' channels dropped in training.
        time: use the days since the previous event as an input; otherwise only the order counts.
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
        return self._run(self.init_state(len(x)), x, dt)[1]

    def init_state(self, batch_size: int) -> EvolutionState:
        zeros = self.out.weight.new_zeros(batch_size, self.dim)
        return EvolutionState(zeros, zeros)

    def step(self, state: EvolutionState, x: Tensor, dt: Tensor) -> tuple[EvolutionState, Tensor]:
        state, z = self._run(state, x.unsqueeze(1), dt.unsqueeze(1))
        return state, z.squeeze(1)

    def readout(self, state: EvolutionState) -> Tensor:
        return self.out(state.evolved)

    def _run(self, state: EvolutionState, x: Tensor, dt: Tensor) -> tuple[EvolutionState, Tensor]:
        """Continue from a state with events ``[B, T, D]``; return the new state and ``z [B, T, D]``."""
        x = self.dropout(x)
        interests, extracted = self.extractor(append_log_days(x, dt) if self.time else x, state.extracted.unsqueeze(0))
        keys, gates = self.key(interests) / self.dim**0.5, self.inputs(interests)
        h, hs = state.evolved, []
        for key, gate in zip(keys.unbind(1), gates.unbind(1), strict=True):
            h = self.evolve(h, key, gate)
            hs.append(h)
        return EvolutionState(extracted.squeeze(0), h), self.out(torch.stack(hs, 1))

    def evolve(self, h: Tensor, key: Tensor, gate: Tensor) -> Tensor:
        """Update the hidden state of the evolution with one event.

        Args:
            h: ``[B, D]`` hidden state.
            key: ``[B, D]`` attention key of the extracted interest.
            gate: ``[B, 3 D]`` inputs of the reset gate, the update gate and the new state.

        Returns:
            ``[B, D]`` new hidden state.
        """
        attention = torch.sigmoid((key * h).sum(-1, keepdim=True))
        (reset, update, new), (reset_h, update_h, new_h) = gate.chunk(3, -1), self.recurrent(h).chunk(3, -1)
        update = attention * torch.sigmoid(update + update_h)
        new = torch.tanh(new + torch.sigmoid(reset + reset_h) * new_h)
        return h + update * (new - h)
