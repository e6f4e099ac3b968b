"""A block whose keys and values know how long ago they were."""

import torch
from torch import Tensor, nn

from interestlab_dynamics.timed_block import TimedBlock, ahead, elapsed

DAY = 86_400


class IntervalBlock(TimedBlock):
    """TiSASRec (Li et al. 2020, doi 10.1145/3336191.3371786).

    ``softmax_j(q_i·(k_j + P^K_j + R^K_ij) / √d)`` weighs ``v_j + P^V_j + R^V_ij``: P learnt of each place, R of each interval
    ``r_ij = min(⌊(t_i − t_j) / unit⌋, span)``. The paper's unit is the shortest interval of the user's whole history, of
    which the future is a part; here it is fixed. Each block learns its own tables.

    The tables are met by ``q_i·R^K_r`` for every r, and by the weight that falls on every r: T (T + span) numbers a head,
    not the T² d of the public code.
    """

    def __init__(self, dim: int, heads: int, dropout: float, hidden: int, max_length: int, unit: float, span: int) -> None:
        super().__init__(dim, heads, dropout, hidden)
        self.unit, self.span = max(1, round(unit * DAY)), span
        self.place_keys, self.place_values = nn.Embedding(max_length, dim), nn.Embedding(max_length, dim)
        self.interval_keys, self.interval_values = nn.Embedding(span + 1, dim), nn.Embedding(span + 1, dim)
        self.weight_drop = nn.Dropout(dropout)

    def relate(self, times: Tensor, queries: int) -> Tensor:
        """``[B, T, N]`` the interval between two events."""
        return elapsed(times, queries).div(self.unit, rounding_mode="floor").clamp(0, self.span)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, relation: Tensor | None) -> Tensor:
        assert relation is not None
        queries, events = relation.shape[1:]
        place = torch.arange(events, device=key.device).clamp(max=self.place_keys.num_embeddings - 1)
        key, value = key + self.heads_of(self.place_keys)[:, place], value + self.heads_of(self.place_values)[:, place]
        relation = relation.unsqueeze(1).expand(-1, self.heads, -1, -1)
        by_interval = (query @ self.heads_of(self.interval_keys).transpose(-1, -2)).gather(-1, relation)
        scores = (query @ key.transpose(-1, -2) + by_interval) / query.shape[-1] ** 0.5
        weights = self.weight_drop(scores.masked_fill(ahead(queries, events, key.device), -torch.inf).softmax(-1))
        on_interval = weights.new_zeros(*weights.shape[:-1], self.span + 1).scatter_add(-1, relation, weights)
        return weights @ value + on_interval @ self.heads_of(self.interval_values)

    def heads_of(self, table: nn.Embedding) -> Tensor:
        """``[heads, rows, D / heads]`` of a table."""
        return table.weight.unflatten(-1, (self.heads, -1)).transpose(0, 1)
