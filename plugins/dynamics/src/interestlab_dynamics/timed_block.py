"""A block of softmax attention that also knows when each event happened."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from interestlab_dynamics.transformer import Block, Cache


class TimedBlock(Block, ABC):
    """The block of :class:`~interestlab_dynamics.transformer.Transformer` with attention of another kind."""

    @abstractmethod
    def relate(self, times: Tensor, queries: int) -> Tensor:
        """What attention knows of the time between events, the same in each block.

        Args:
            times: ``[B, N]`` int64 seconds at which the events happened.
            queries: T; the last T of the N events ask.
        """

    @abstractmethod
    def attend(self, query: Tensor, key: Tensor, value: Tensor, relation: Tensor) -> Tensor:
        """``[B, heads, T, D / heads]`` what each query sees of the events up to its own."""

    def forward(self, h: Tensor, relation: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """``[B, T, D]`` -> the same and the cache; with a cache, T is 1 and it sees every event before."""
        heads = self.query_key_value(self.attention_norm(h)).unflatten(-1, (3, self.heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:
            key, value = torch.cat([cache[0], key], 2), torch.cat([cache[1], value], 2)
        seen = self.attend(query, key, value, relation)
        h = h + self.drop(self.attention_out(seen.transpose(1, 2).flatten(2)))
        return h + self.drop(self.feed_forward(h)), (key, value)


def elapsed(times: Tensor, queries: int) -> Tensor:
    """``[B, T, N]`` seconds from each event to each of the last T; negative where the event comes after."""
    return times[:, -queries:, None] - times[:, None]


def ahead(queries: int, events: int, device: torch.device) -> Tensor:
    """``[T, N]`` bool, True where an event comes after the query."""
    return torch.ones(queries, events, dtype=torch.bool, device=device).triu(events - queries + 1)


def geometric(longest: float, steps: int) -> list[float]:
    """``steps`` numbers from 1 on, each the same multiple of the one before, that would reach ``longest`` next."""
    return [math.exp(math.log(longest) * i / steps) for i in range(steps)]
