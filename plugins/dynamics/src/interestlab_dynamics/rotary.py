"""A block whose queries and keys are turned by when they happened, so that attention sees what lies between."""

import math

import torch
from torch import Tensor

from interestlab_dynamics.timed_block import TimedBlock, geometric

LONGEST = 10_000.0


class RotaryBlock(TimedBlock):
    """Softmax attention with rotary embeddings (Su et al. 2021, arXiv 2104.09864).

    Half of the pairs of channels of a head turn by the place of an event, at the rates ``10000^(−i/n)`` of the paper;
    the other half by its time in hours, at the same rates: from once in 6 hours on, the slowest of n pairs once in
    ``2π·10000^((n−1)/n)`` hours, which is 2.3 years for 8 pairs. The product of a query and a key then depends on the
    events and the seconds between them, and on no absolute time.
    """

    rates: Tensor
    periods: Tensor

    def __init__(self, dim: int, heads: int, dropout: float, hidden: int) -> None:
        super().__init__(dim, heads, dropout, hidden)
        pairs = dim // heads // 2
        by_order, by_time = pairs // 2, pairs - pairs // 2
        rates = torch.tensor([1 / step for step in geometric(LONGEST, by_order)])
        # Whole seconds: a clock is reduced by its period exactly, however far it has run.
        periods = torch.tensor([round(2 * math.pi * 3600 * step) for step in geometric(LONGEST, by_time)])
        self.register_buffer("rates", rates, persistent=False)
        self.register_buffer("periods", periods, persistent=False)

    def relate(self, times: Tensor, queries: int) -> Tensor:
        """``[2, B, 1, N, pairs]`` cosine and sine of the angle of each event."""
        wide = torch.promote_types(self.rates.dtype, torch.float32)  # a half cannot count places beyond 256 or 2,048
        turns = (times.unsqueeze(-1) % self.periods).to(wide) / self.periods
        order = torch.arange(times.shape[1], device=times.device, dtype=wide)
        by_order = (order.unsqueeze(-1) * self.rates).expand(len(times), -1, -1)
        angle = torch.cat([by_order, 2 * math.pi * turns], -1).unsqueeze(1)
        return torch.stack([angle.cos(), angle.sin()])

    def attend(self, query: Tensor, key: Tensor, value: Tensor, relation: Tensor | None) -> Tensor:
        assert relation is not None
        return super().attend(turned(query, relation[..., -query.shape[2] :, :]), turned(key, relation), value, relation)


def turned(x: Tensor, angle: Tensor) -> Tensor:
    """``[..., 2 pairs]`` with each pair of neighbours turned by its angle, given as cosine and sine."""
    cos, sin = angle
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)
