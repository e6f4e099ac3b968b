"""A block of softmax attention that also knows when each event happened."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from interestlab_dynamics.transformer import Block


class TimedBlock(Block, ABC):
    """The block of :class:`~interestlab_dynamics.transformer.Transformer` with attention of another kind."""

    @abstractmethod
    def relate(self, times: Tensor, queries: int) -> Tensor:
        """What attention knows of the time between events, the same in each block.

        Args:
            times: ``[B, N]`` int64 seconds at which the events happened.
            queries: T; the last T of the N events ask.
        """


def elapsed(times: Tensor, queries: int) -> Tensor:
    """``[B, T, N]`` seconds from each event to each of the last T; negative where the event comes after."""
    return times[:, -queries:, None] - times[:, None]


def ahead(queries: int, events: int, device: torch.device) -> Tensor:
    """``[T, N]`` bool, True where an event comes after the query."""
    return torch.ones(queries, events, dtype=torch.bool, device=device).triu(events - queries + 1)


def geometric(longest: float, steps: int) -> list[float]:
    """``steps`` numbers from 1 on, each the same multiple of the one before, that would reach ``longest`` next."""
    return [math.exp(math.log(longest) * i / steps) for i in range(steps)]
