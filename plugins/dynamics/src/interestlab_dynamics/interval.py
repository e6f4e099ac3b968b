"""Attention with learnt embeddings of time intervals (TiSASRec)."""

import torch
from torch import Tensor, nn

from interestlab_dynamics.time_aware_block import TimeAwareBlock, elapsed_seconds, future_mask

DAY = 86_400
"""Seconds per day."""


class IntervalBlock(TimeAwareBlock):
    """TiSASRec: self-attention with learnt keys and values of positions and of time intervals.

    ``softmax_j(q_i·(k_j + P^K_j + R^K_ij) / √d)`` weighs ``v_j + P^V_j + R^V_ij``, where P is learnt per position and R per
    interval ``r_ij = min(⌊(t_i − t_j) / unit⌋, span)``. The unit of the paper is the shortest interval in the user's complete
    history, which includes the future; here it is a constant. Each block has its own tables.

    ``q_i·R^K_r`` is computed for every r, and attention weights are summed per interval, so a head stores T (T + span)
    numbers instead of the T² d of the public code.

    Source: Li et al. 2020, doi 10.1145/3336191.3371786.

    Args:
        dim: width of the model.
        heads: attention heads; must divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        hidden: width of the feed-forward layer.
        max_length: number of distinct positions.
        unit: length of an interval in days.
        span: largest interval in units.
    """

    def __init__(self, dim: int, heads: int, dropout: float, hidden: int, max_length: int, unit: float, span: int) -> None:
        super().__init__(dim, heads, dropout, hidden)
        self.unit_seconds, self.span = max(1, round(unit * DAY)), span
        self.position_keys, self.position_values = nn.Embedding(max_length, dim), nn.Embedding(max_length, dim)
        self.interval_keys, self.interval_values = nn.Embedding(span + 1, dim), nn.Embedding(span + 1, dim)
        self.weight_drop = nn.Dropout(dropout)

    def encode_times(self, times: Tensor, queries: int) -> Tensor:
        """Compute the interval between each query and each event in units, ``[B, T, N]`` int64."""
        return elapsed_seconds(times, queries).div(self.unit_seconds, rounding_mode="floor").clamp(0, self.span)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, relation: Tensor | None) -> Tensor:
        assert relation is not None
        queries, events = relation.shape[1:]
        position = torch.arange(events, device=key.device).clamp(max=self.position_keys.num_embeddings - 1)
        key = key + self._split_heads(self.position_keys)[:, position]
        value = value + self._split_heads(self.position_values)[:, position]
        relation = relation.unsqueeze(1).expand(-1, self.heads, -1, -1)
        interval_scores = (query @ self._split_heads(self.interval_keys).transpose(-1, -2)).gather(-1, relation)
        scores = (query @ key.transpose(-1, -2) + interval_scores) / query.shape[-1] ** 0.5
        weights = self.weight_drop(scores.masked_fill(future_mask(queries, events, key.device), -torch.inf).softmax(-1))
        interval_weights = weights.new_zeros(*weights.shape[:-1], self.span + 1).scatter_add(-1, relation, weights)
        return weights @ value + interval_weights @ self._split_heads(self.interval_values)

    def _split_heads(self, table: nn.Embedding) -> Tensor:
        """Return a table as ``[heads, rows, D / heads]``."""
        return table.weight.unflatten(-1, (self.heads, -1)).transpose(0, 1)
