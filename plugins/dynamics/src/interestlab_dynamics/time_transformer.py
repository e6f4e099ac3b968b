"""Causal self-attention that uses the time between events."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics
from interestlab_dynamics.hstu import HSTUBlock
from interestlab_dynamics.interval import DAY, IntervalBlock
from interestlab_dynamics.rotary import RotaryBlock
from interestlab_dynamics.time_aware_block import TimeAwareBlock
from interestlab_dynamics.transformer import Cache, init_weights


class TimeTransformerState(NamedTuple):
    """The N events so far.

    Attributes:
        caches: keys and values ``[B, heads, N, D / heads]`` per block.
        times: ``[B, N]`` int64 time of each event in seconds, from an arbitrary origin.
        now: ``[B]`` int64 current time in seconds.
        z: ``[B, D]`` the user state after the last event.
    """

    caches: tuple[Cache, ...]
    times: Tensor
    now: Tensor
    z: Tensor


class TimeTransformer(Dynamics):
    """Causal self-attention that uses the time between events: HSTU, rotary embeddings or TiSASRec.

    - ``hstu`` (Zhai et al. 2024, arXiv 2402.17152): each event adds ``SiLU(q_i·k_j + order_{i−j} + time_{t_i − t_j}) v_j``
      without softmax, and a gate per channel replaces the feed-forward layer. Time is divided into 128 buckets, each 35 %
      longer than the previous one.
    - ``rotary`` (Su et al. 2021, arXiv 2104.09864): queries and keys are rotated by their position and their time.
    - ``interval`` (TiSASRec, Li et al. 2020, doi 10.1145/3336191.3371786): SASRec with learnt keys and values of each
      position and of each interval, in units of ``unit`` days up to ``span`` units.

    Blocks use pre-norm, and a LayerNorm follows the last one, as in
    :class:`~interestlab_dynamics.transformer.Transformer`; ``hstu`` and ``rotary`` have no absolute positions. Times are
    integer seconds, so histories may have any length. Elapsed time changes the attention of later events, but not the
    user state itself. A negative dt, from a clock that was set back, counts as 0.

    ``step`` stores keys, values and times, and takes O(N) after N events. ``forward`` takes O(T²); except for ``rotary`` it
    stores T² numbers per head.

    Args:
        dim: width of the model.
        kind: how attention uses time: ``hstu``, ``rotary`` or ``interval``.
        layers: number of blocks, at least 1.
        heads: attention heads of each block; must divide ``dim``.
        dropout: share of activations and, except for ``hstu``, of attention weights dropped in training.
        max_length: number of distinct positions (for ``hstu``: of distances between two events); larger ones share the last.
        expansion: width of the feed-forward layers, in multiples of ``dim``; ``hstu`` has none.
        unit: for ``interval``: length of an interval in days.
        span: for ``interval``: largest interval in units; longer ones count as this one.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        dim: int,
        kind: Literal["hstu", "rotary", "interval"] = "hstu",
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        max_length: int = 512,
        expansion: int = 4,
        unit: float = 1.0,
        span: int = 256,
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim {dim} is not divisible by heads {heads}")
        if kind == "rotary" and dim // heads % 2:
            raise ValueError(f"rotary needs an even number of channels per head, not dim {dim} / heads {heads}")
        if layers < 1 or max_length < 1 or span < 1 or not unit > 0:
            raise ValueError(f"layers ({layers}), max_length ({max_length}), span ({span}) and unit ({unit}) must be positive")
        self.dim = dim
        self.heads = heads
        hidden = expansion * dim
        blocks: list[HSTUBlock | TimeAwareBlock]
        if kind == "hstu":
            blocks = [HSTUBlock(dim, heads, dropout, max_length) for _ in range(layers)]
        elif kind == "rotary":
            blocks = [RotaryBlock(dim, heads, dropout, hidden) for _ in range(layers)]
        elif kind == "interval":
            blocks = [IntervalBlock(dim, heads, dropout, hidden, max_length, unit, span) for _ in range(layers)]
        else:
            raise ValueError(f"kind is {kind!r}; it must be hstu, rotary or interval")
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        self.apply(init_weights)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        # The padding comes after every real event, so the causal mask hides it.
        relation = self._encode_times(to_seconds(dt).cumsum(1), x.shape[1])
        h = self.dropout(x)
        for block in self.blocks:
            h, _ = block(h, relation)
        return self.norm(h)

    def init_state(self, batch_size: int) -> TimeTransformerState:
        empty = self.norm.weight.new_empty(batch_size, self.heads, 0, self.dim // self.heads)
        now = empty.new_zeros(batch_size, dtype=torch.int64)
        caches = tuple((empty, empty) for _ in self.blocks)
        return TimeTransformerState(caches, now.new_empty(batch_size, 0), now, empty.new_zeros(batch_size, self.dim))

    def step(self, state: TimeTransformerState, x: Tensor, dt: Tensor) -> tuple[TimeTransformerState, Tensor]:
        now = state.now + to_seconds(dt)
        times = torch.cat([state.times, now.unsqueeze(1)], 1)
        relation = self._encode_times(times, 1)
        h, caches = self.dropout(x.unsqueeze(1)), []
        for block, cache in zip(self.blocks, state.caches, strict=True):
            h, cache = block(h, relation, cache)
            caches.append(cache)
        z = self.norm(h).squeeze(1)
        return TimeTransformerState(tuple(caches), times, now, z), z

    def readout(self, state: TimeTransformerState) -> Tensor:
        return state.z

    def advance(self, state: TimeTransformerState, dt: Tensor) -> TimeTransformerState:
        return state._replace(now=state.now + to_seconds(dt))

    def _encode_times(self, times: Tensor, queries: int) -> Tensor:
        """Compute the time features that all blocks share."""
        block = self.blocks[0]
        assert isinstance(block, HSTUBlock | TimeAwareBlock)
        return block.encode_times(times, queries)


def to_seconds(days: Tensor) -> Tensor:
    """Convert days to integer seconds, whose sums are exact.

    Args:
        days: any shape; negative values, from a clock that was set back, count as 0.

    Returns:
        int64 seconds of the same shape.
    """
    # Half precision cannot count the seconds of a day.
    days = days.to(torch.promote_types(days.dtype, torch.float32))
    return (days.clamp(min=0) * DAY).round().long()
