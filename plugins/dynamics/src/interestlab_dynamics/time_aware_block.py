"""A softmax attention block with access to the time of each event."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from interestlab_dynamics.transformer import Block


class TimeAwareBlock(Block, ABC):
    """The block of :class:`~interestlab_dynamics.transformer.Transformer` with time-dependent attention."""

    @abstractmethod
    def encode_times(self, times: Tensor, queries: int) -> Tensor:
        """Compute the time features of the attention, which all blocks share.

        Args:
            times: ``[B, N]`` int64 time of each event in seconds.
            queries: T; the last T of the N events are queries.

        Returns:
            a tensor that :meth:`forward` takes as ``relation``.
        """


def elapsed_seconds(times: Tensor, queries: int) -> Tensor:
    """Compute the time from each event to each query.

    Args:
        times: ``[B, N]`` int64 time of each event in seconds.
        queries: T; the last T of the N events are queries.

    Returns:
        ``[B, T, N]`` seconds; negative where the event comes after the query.
    """
    return times[:, -queries:, None] - times[:, None]


def future_mask(queries: int, events: int, device: torch.device) -> Tensor:
    """Mark the events after each query.

    Args:
        queries: T; the last T of the events are queries.
        events: N.
        device: device of the mask.

    Returns:
        ``[T, N]`` bool, True where the event comes after the query.
    """
    return torch.ones(queries, events, dtype=torch.bool, device=device).triu(events - queries + 1)


def geometric_series(end: float, steps: int) -> list[float]:
    """Return a geometric series that starts at 1 and would reach ``end`` after ``steps`` numbers.

    Args:
        end: the number after the last one.
        steps: how many numbers.

    Returns:
        ``steps`` numbers.
    """
    return [math.exp(math.log(end) * i / steps) for i in range(steps)]
