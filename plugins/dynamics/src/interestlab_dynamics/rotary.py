"""Attention with rotary embeddings of order and time."""

import math

import torch
from torch import Tensor

from interestlab_dynamics.time_aware_block import TimeAwareBlock, geometric_series

BASE = 10_000.0
"""Base of the rotation rates, as in the paper."""


class RotaryBlock(TimeAwareBlock):
    """Softmax attention with rotary embeddings of an event's position and time.

    Half of the channel pairs of a head are rotated by the position of the event, at the rates ``10000^(−i/n)`` of the paper.
    The other half are rotated by its time in hours, at the same rates: the fastest once in 6 hours, the slowest of n pairs
    once in ``2π·10000^((n−1)/n)`` hours, which is 2.3 years for 8 pairs. The product of a query and a key thus depends on the
    number of events and seconds between them, and not on absolute time.

    Source: Su et al. 2021, arXiv 2104.09864.

    Args:
        dim: width of the model.
        heads: attention heads; ``dim / heads`` must be even.
        dropout: share of activations and attention weights dropped in training.
        hidden: width of the feed-forward layer.
    """

    rates: Tensor
    periods: Tensor

    def __init__(self, dim: int, heads: int, dropout: float, hidden: int) -> None:
        super().__init__(dim, heads, dropout, hidden)
        pairs = dim // heads // 2
        order_pairs, time_pairs = pairs // 2, pairs - pairs // 2
        rates = torch.tensor([1 / step for step in geometric_series(BASE, order_pairs)])
        # Integer seconds, so that the remainder by the period is exact for any time.
        periods = torch.tensor([round(2 * math.pi * 3600 * step) for step in geometric_series(BASE, time_pairs)])
        self.register_buffer("rates", rates, persistent=False)
        self.register_buffer("periods", periods, persistent=False)

    def encode_times(self, times: Tensor, queries: int) -> Tensor:
        """Compute the cosine and sine of each event's rotation angles, ``[2, B, 1, N, pairs]``."""
        dtype = torch.promote_types(self.rates.dtype, torch.float32)  # half precision cannot count beyond 256 or 2,048
        turns = (times.unsqueeze(-1) % self.periods).to(dtype) / self.periods
        order = torch.arange(times.shape[1], device=times.device, dtype=dtype)
        order_angles = (order.unsqueeze(-1) * self.rates).expand(len(times), -1, -1)
        angles = torch.cat([order_angles, 2 * math.pi * turns], -1).unsqueeze(1)
        return torch.stack([angles.cos(), angles.sin()])

    def attend(self, query: Tensor, key: Tensor, value: Tensor, relation: Tensor | None) -> Tensor:
        assert relation is not None
        query = _rotate(query, relation[..., -query.shape[2] :, :])
        return super().attend(query, _rotate(key, relation), value, relation)


def _rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Rotate each pair of adjacent channels of ``[..., 2 pairs]`` by its angle, given as cosine and sine."""
    cos, sin = angle
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)
