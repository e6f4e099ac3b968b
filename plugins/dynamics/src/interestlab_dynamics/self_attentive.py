"""Several interests by self-attention over the events so far."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from interestlab_dynamics.transformer import init_weights


class Averages(NamedTuple):
    """Weighted averages, and what it takes to go on with them.

    Attributes:
        z: ``[B, K, D]`` the averages.
        total: ``[B, K]`` log of the sum of the weights in them.
        events: ``[B]`` int64 how many events there were.
    """

    z: Tensor
    total: Tensor
    events: Tensor


class SelfAttentive(nn.Module):
    """ComiRec-SA (Cen et al. 2020, arXiv 2005.09347): ``z_tk = Σ_{j≤t} a_tkj x_j``.

    ``a_tk`` is the softmax over the events so far of ``s_jk = w_k·tanh(W (x_j + p_j))``, and ``p_j`` a learnt position.

    A softmax over a prefix is a running average: ``z_tk = z_{t−1,k} + γ_tk (x_t − z_{t−1,k})``, with
    ``γ_tk = exp(s_tk − logsumexp_{j≤t} s_jk)``. So all prefixes together take O(T D (D + K)), a step O(D (D + K)).

    Args:
        dim: width of the events.
        num_interests: K.
        max_length: number of positions that are told apart; events beyond share the last.
    """

    def __init__(self, dim: int, num_interests: int, max_length: int) -> None:
        super().__init__()
        self.num_interests = num_interests
        self.positions = nn.Embedding(max_length, dim)
        self.score = nn.Sequential(
            nn.Linear(dim, 4 * dim, bias=False), nn.Tanh(), nn.Linear(4 * dim, num_interests, bias=False)
        )
        init_weights(self.positions)

    def scores(self, x: Tensor, positions: Tensor) -> Tensor:
        """``[..., K]`` of events at their positions."""
        placed = x + self.positions(positions.clamp(max=self.positions.num_embeddings - 1))
        return self.score(placed).to(self.positions.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, D]`` -> ``[B, T, K, D]``"""
        scores = self.scores(x, torch.arange(x.shape[1], device=x.device))
        gains = torch.exp(scores - scores.logcumsumexp(1)).unsqueeze(-1)
        x = x.to(gains.dtype).unsqueeze(2)
        z, zs = torch.zeros_like(x[:, 0]), []
        for x_t, gain in zip(x.unbind(1), gains.unbind(1), strict=True):
            z = torch.lerp(z, x_t, gain)
            zs.append(z)
        return torch.stack(zs, 1)

    def init_state(self, batch_size: int) -> Averages:
        """Before the first event."""
        z = self.positions.weight.new_zeros(batch_size, self.num_interests, self.positions.embedding_dim)
        return Averages(z, z.new_full(z.shape[:2], -torch.inf), z.new_zeros(batch_size, dtype=torch.int64))

    def step(self, state: Averages, x: Tensor) -> Averages:
        """After one more event ``[B, D]``."""
        scores = self.scores(x, state.events)
        total = torch.logaddexp(state.total, scores)
        z = torch.lerp(state.z, x.to(total.dtype).unsqueeze(1), torch.exp(scores - total).unsqueeze(-1))
        return Averages(z, total, state.events + 1)
