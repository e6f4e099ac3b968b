"""A block of HSTU: attention without a softmax, biased by order and by time, and gated."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab_dynamics.timed_block import ahead, elapsed
from interestlab_dynamics.transformer import Cache

EDGES = [math.ceil(math.exp(0.301 * k)) for k in range(1, 128)]
"""Seconds at which the next bucket of time begins, as in the public code: each 35 % longer than the one before."""


class HSTUBlock(nn.Module):
    """``h + f2(norm(mean_j SiLU(q_i·k_j + order_{i−j} + time_{t_i − t_j}) v_j) ⊙ u_i)``, ``u, v, q, k = SiLU(f1(norm(h)))``.

    Zhai et al. 2024, arXiv 2402.17152. The mean is over the events so far, where the paper divides by the length of the
    padded row, which would let the padding in; the norm that follows takes out most of the difference.
    """

    edges: Tensor

    def __init__(self, dim: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.gate_value_query_key = nn.Linear(dim, 4 * dim)
        self.order_bias = nn.Embedding(max_length, 1)
        self.time_bias = nn.Embedding(len(EDGES) + 1, 1)
        self.seen_norm = nn.LayerNorm(dim, eps=1e-6)  # what is seen is small at first: 1e-5 would drown it
        self.out = nn.Linear(dim, dim)
        self.drop = nn.Dropout(dropout)
        self.register_buffer("edges", torch.tensor(EDGES), persistent=False)

    def relate(self, times: Tensor, queries: int) -> Tensor:
        """``[B, T, N]`` the bucket of the time between two events."""
        return torch.bucketize(elapsed(times, queries), self.edges, right=True)

    def forward(self, h: Tensor, relation: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """``[B, T, D]`` -> the same and the cache; with a cache, T is 1 and it sees every event before."""
        heads = F.silu(self.gate_value_query_key(self.norm(h))).unflatten(-1, (4, self.heads, -1))
        gate, value, query, key = heads.permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:
            key, value = torch.cat([cache[0], key], 2), torch.cat([cache[1], value], 2)
        queries, events = relation.shape[1:]
        order = torch.arange(events, device=h.device)
        back = (order[-queries:, None] - order).clamp(0, self.order_bias.num_embeddings - 1)
        bias = self.order_bias(back).squeeze(-1) + self.time_bias(relation).squeeze(-1)
        weights = F.silu(query @ key.transpose(-1, -2) + bias.unsqueeze(1))
        weights = weights.masked_fill(ahead(queries, events, h.device), 0) / (order[-queries:, None] + 1)
        seen, gate = (t.transpose(1, 2).flatten(2) for t in (weights @ value, gate))
        return h + self.out(self.drop(self.seen_norm(seen) * gate)), (key, value)
