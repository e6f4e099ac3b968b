"""A block of HSTU: gated attention without softmax, with biases for order and time."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab_dynamics.time_aware_block import elapsed_seconds, future_mask
from interestlab_dynamics.transformer import Cache

EDGES = [math.ceil(math.exp(0.301 * k)) for k in range(1, 128)]
"""Edges of the time buckets in seconds, as in the public code: each bucket is 35 % longer than the previous one."""


class HSTUBlock(nn.Module):
    """``h + f2(norm(mean_j SiLU(q_i·k_j + order_{i−j} + time_{t_i − t_j}) v_j) ⊙ u_i)``, ``u, v, q, k = SiLU(f1(norm(h)))``.

    The mean is over the events so far. The paper divides by the length of the padded row, which would make the result depend
    on the padding; the norm that follows removes most of the difference.

    Source: Zhai et al. 2024, arXiv 2402.17152.

    Args:
        dim: width of the model.
        heads: attention heads; must divide ``dim``.
        dropout: share of activations dropped in training.
        max_length: number of distinct distances between two events.
    """

    edges: Tensor

    def __init__(self, dim: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.gate_value_query_key = nn.Linear(dim, 4 * dim)
        self.order_bias = nn.Embedding(max_length, 1)
        self.time_bias = nn.Embedding(len(EDGES) + 1, 1)
        # The attended values are small at first; the default eps of 1e-5 would dominate them.
        self.attended_norm = nn.LayerNorm(dim, eps=1e-6)
        self.out = nn.Linear(dim, dim)
        self.drop = nn.Dropout(dropout)
        self.register_buffer("edges", torch.tensor(EDGES), persistent=False)

    def encode_times(self, times: Tensor, queries: int) -> Tensor:
        """Compute the bucket of the time between each query and each event.

        Args:
            times: ``[B, N]`` int64 time of each event in seconds.
            queries: T; the last T of the N events are queries.

        Returns:
            ``[B, T, N]`` int64.
        """
        return torch.bucketize(elapsed_seconds(times, queries), self.edges, right=True)

    def forward(self, h: Tensor, relation: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Transform events.

        Args:
            h: ``[B, T, D]``; with a cache, T is 1.
            relation: ``[B, T, N]`` time buckets.
            cache: keys and values of all earlier events; None at the start of a history.

        Returns:
            ``[B, T, D]``, and the cache with these events.
        """
        heads = F.silu(self.gate_value_query_key(self.norm(h))).unflatten(-1, (4, self.heads, -1))
        gate, value, query, key = heads.permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:
            key, value = torch.cat([cache[0], key], 2), torch.cat([cache[1], value], 2)
        queries, events = relation.shape[1:]
        order = torch.arange(events, device=h.device)
        distance = (order[-queries:, None] - order).clamp(0, self.order_bias.num_embeddings - 1)
        bias = self.order_bias(distance).squeeze(-1) + self.time_bias(relation).squeeze(-1)
        weights = F.silu(query @ key.transpose(-1, -2) + bias.unsqueeze(1))
        weights = weights.masked_fill(future_mask(queries, events, h.device), 0) / (order[-queries:, None] + 1)
        attended, gate = (t.transpose(1, 2).flatten(2) for t in (weights @ value, gate))
        return h + self.out(self.drop(self.attended_norm(attended) * gate)), (key, value)
