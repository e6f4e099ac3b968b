"""Self-attention over the whole history, and over the time between its events."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics
from interestlab_dynamics.hstu import HSTUBlock
from interestlab_dynamics.interval import DAY, IntervalBlock
from interestlab_dynamics.rotary import RotaryBlock
from interestlab_dynamics.timed_block import TimedBlock
from interestlab_dynamics.transformer import Cache, init_weights


class TimedHistory(NamedTuple):
    """The N events so far.

    Attributes:
        caches: keys and values ``[B, heads, N, D / heads]`` of each block.
        times: ``[B, N]`` int64 seconds at which they happened, from an arbitrary start.
        now: ``[B]`` int64 seconds.
        z: ``[B, D]`` the interest after the last of them.
    """

    caches: tuple[Cache, ...]
    times: Tensor
    now: Tensor
    z: Tensor


class TimeTransformer(Dynamics):
    """Causal self-attention that sees the time between events, in one of three ways.

    - ``hstu`` (Zhai et al. 2024, arXiv 2402.17152): each event adds ``SiLU(q_i·k_j + order_{i−j} + time_{t_i − t_j}) v_j``,
      with no softmax, and a gate of each channel stands in place of the feed-forward layer. Time falls into 128 buckets,
      each 35 % longer than the one before.
    - ``rotary`` (Su et al. 2021, arXiv 2104.09864): queries and keys are turned by their place and by their time.
    - ``interval`` (Li et al. 2020, TiSASRec, doi 10.1145/3336191.3371786): SASRec with learnt keys and values of each place
      and of each interval, in units of ``unit`` days up to ``span`` of them.

    Blocks are pre-norm with a final LayerNorm, as in :class:`~interestlab_dynamics.transformer.Transformer`; ``hstu`` and
    ``rotary`` have no absolute positions. A clock counts whole seconds, so no history is too long for it. A silence moves the
    clock and not the interest: what follows it sees its length. A negative dt, from a clock that was set back, counts as 0.

    ``step`` keeps keys, values and times, and takes O(N) after N events. ``forward`` takes O(T²), and but for ``rotary`` holds
    T² numbers a head.

    Args:
        dim: width of the model.
        kind: how attention sees time: ``hstu``, ``rotary`` or ``interval``.
        layers: number of blocks.
        heads: attention heads of each block; they divide ``dim``.
        dropout: share of activations, and but for ``hstu`` of attention weights, dropped in training.
        max_length: places (of ``hstu``: distances between two) that are told apart; those beyond share the last.
        expansion: width of the feed-forward layers, in multiples of ``dim``; ``hstu`` has none.
        unit: of ``interval``: days that make one interval.
        span: of ``interval``: the longest interval, in units; longer ones count as this one.

    Raises:
        ValueError: an argument is outside of its range.
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
            raise ValueError(f"rotary turns pairs of channels; a head of dim {dim} / heads {heads} has an odd number of them")
        if layers < 1 or max_length < 1 or span < 1 or not unit > 0:
            raise ValueError(f"layers ({layers}), max_length ({max_length}), span ({span}) and unit ({unit}) must be positive")
        self.dim = dim
        self.heads = heads
        hidden = expansion * dim
        blocks: Sequence[HSTUBlock | TimedBlock]
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
        # The padding is on the right, after every real event: to see only the past is not to see it.
        relation = self.relate(seconds(dt).cumsum(1), x.shape[1])
        h = self.dropout(x)
        for block in self.blocks:
            h, _ = block(h, relation)
        return self.norm(h)

    def init_state(self, batch_size: int) -> TimedHistory:
        none = self.norm.weight.new_empty(batch_size, self.heads, 0, self.dim // self.heads)
        now = none.new_zeros(batch_size, dtype=torch.int64)
        return TimedHistory(
            tuple((none, none) for _ in self.blocks), now.new_empty(batch_size, 0), now, none.new_zeros(batch_size, self.dim)
        )

    def step(self, state: TimedHistory, x: Tensor, dt: Tensor) -> tuple[TimedHistory, Tensor]:
        now = state.now + seconds(dt)
        times = torch.cat([state.times, now.unsqueeze(1)], 1)
        relation = self.relate(times, 1)
        h, caches = self.dropout(x.unsqueeze(1)), []
        for block, cache in zip(self.blocks, state.caches, strict=True):
            h, cache = block(h, relation, cache)
            caches.append(cache)
        z = self.norm(h).squeeze(1)
        return TimedHistory(tuple(caches), times, now, z), z

    def relate(self, times: Tensor, queries: int) -> Tensor:
        """Relation between events, which all blocks share; see :meth:`TimedBlock.relate`."""
        return cast("HSTUBlock | TimedBlock", self.blocks[0]).relate(times, queries)

    def readout(self, state: TimedHistory) -> Tensor:
        return state.z

    def advance(self, state: TimedHistory, dt: Tensor) -> TimedHistory:
        return state._replace(now=state.now + seconds(dt))


def seconds(days: Tensor) -> Tensor:
    """Whole seconds, which add up without rounding; none for a clock that was set back."""
    # A half cannot count the seconds of a day.
    days = days.to(torch.promote_types(days.dtype, torch.float32))
    return (days.clamp(min=0) * DAY).round().long()
