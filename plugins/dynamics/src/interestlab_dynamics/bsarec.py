"""Self-attention joined by a frequency filter (BSARec)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics, ParameterGroup
from interestlab_dynamics.transformer import Block, Cache, init_weights


class BSARecState(NamedTuple):
    """State of all blocks.

    Attributes:
        caches: keys and values of all events, of each block.
        lows: ``[B, D]`` low-pass output of each block after the last event.
        z: ``[B, D]`` the user state.
    """

    caches: tuple[Cache, ...]
    lows: tuple[Tensor, ...]
    z: Tensor


class BSARec(Dynamics):
    """BSARec: each block mixes self-attention with a filter that rescales the high frequencies of the history.

    A block computes ``h + α F(n) + (1 − α) attention(n)`` with ``n = LayerNorm(h)``, ``F(n) = L(n) + c² ⊙ (n − L(n))``, where
    ``L`` keeps the low frequencies and ``c`` is learnt per channel, and then a feed-forward layer. The reason: self-attention
    alone is a low-pass filter, which smooths a history too much.

    Difference from the paper: there ``L`` is a truncated Fourier transform of the whole history, which sees later events; here
    it is an exponentially weighted average with a learnt rate per channel, the causal low-pass filter of first order. Blocks
    are pre-norm, as in :class:`~interestlab_dynamics.transformer.Transformer`.

    Source: Shin et al. 2024, "An Attentive Inductive Bias for Sequential Recommendation beyond the Self-Attention",
    arXiv 2312.10325.

    Args:
        dim: width of the model.
        layers: number of blocks, at least 1.
        heads: attention heads of each block; must divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        mix: α, the share of the filter, between 0 and 1.
        max_length: number of distinct positions.
        expansion: width of the feed-forward layers, in multiples of ``dim``.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        mix: float = 0.7,
        max_length: int = 512,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim {dim} is not divisible by heads {heads}")
        if layers < 1 or max_length < 1:
            raise ValueError(f"layers ({layers}) and max_length ({max_length}) must be positive")
        if not 0 <= mix <= 1:
            raise ValueError(f"mix is {mix}; it must be between 0 and 1")
        self.dim, self.heads = dim, heads
        self.positions = nn.Embedding(max_length, dim)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(FilterBlock(dim, heads, dropout, expansion * dim, mix) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.apply(init_weights)

    def parameter_groups(self) -> Mapping[ParameterGroup, Iterable[nn.Parameter]]:
        return {"gains": [block.raw_rate for block in self.blocks if isinstance(block, FilterBlock)]}

    def _embed(self, x: Tensor, positions: Tensor) -> Tensor:
        return self.dropout(x + self.positions(positions.clamp(max=self.positions.num_embeddings - 1)))

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        h = self._embed(x, torch.arange(x.shape[1], device=x.device))
        for block in self.blocks:
            h, _, _ = block(h)
        return self.norm(h)

    def init_state(self, batch_size: int) -> BSARecState:
        empty = self.positions.weight.new_empty(batch_size, self.heads, 0, self.dim // self.heads)
        zeros = empty.new_zeros(batch_size, self.dim)
        return BSARecState(tuple((empty, empty) for _ in self.blocks), tuple(zeros for _ in self.blocks), zeros)

    def step(self, state: BSARecState, x: Tensor, dt: Tensor) -> tuple[BSARecState, Tensor]:
        position = state.caches[0][0].shape[2]
        h = self._embed(x.unsqueeze(1), torch.tensor([position], device=x.device))
        caches, lows = [], []
        for block, cache, low in zip(self.blocks, state.caches, state.lows, strict=True):
            h, cache, low = block(h, cache, low if position else None)
            caches.append(cache)
            lows.append(low)
        z = self.norm(h).squeeze(1)
        return BSARecState(tuple(caches), tuple(lows), z), z

    def readout(self, state: BSARecState) -> Tensor:
        return state.z


class FilterBlock(Block):
    """A transformer block whose attention is mixed with a causal frequency filter.

    Args:
        dim: width of the model.
        heads: attention heads; must divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        hidden: width of the feed-forward layer.
        mix: share of the filter.
    """

    def __init__(self, dim: int, heads: int, dropout: float, hidden: int, mix: float) -> None:
        super().__init__(dim, heads, dropout, hidden)
        self.mix = mix
        self.raw_rate = nn.Parameter(torch.full((dim,), -1.0))
        self.high = nn.Parameter(torch.randn(dim))

    def low_pass(self, n: Tensor, low: Tensor | None) -> Tensor:
        """Return the exponentially weighted average after each event.

        Args:
            n: ``[B, T, D]``.
            low: ``[B, D]`` the average before them; None at the start of a history.

        Returns:
            ``[B, T, D]``.
        """
        rate, lows = torch.sigmoid(self.raw_rate).to(n.dtype), []
        for n_t in n.unbind(1):
            low = n_t if low is None else torch.lerp(low, n_t, rate)
            lows.append(low)
        return torch.stack(lows, 1)

    def forward(  # type: ignore[override]
        self, h: Tensor, cache: Cache | None = None, low: Tensor | None = None
    ) -> tuple[Tensor, Cache, Tensor]:
        """Transform events.

        Args:
            h: ``[B, T, D]``; with a cache, T is 1.
            cache: keys and values of all earlier events; None at the start of a history.
            low: ``[B, D]`` low-pass output after the earlier events; None at the start of a history.

        Returns:
            ``[B, T, D]``, the cache with these events, and the last low-pass output ``[B, D]``.
        """
        n = self.attention_norm(h)
        lows = self.low_pass(n, low)
        heads = self.query_key_value(n).unflatten(-1, (3, self.heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:
            key, value = torch.cat([cache[0], key], 2), torch.cat([cache[1], value], 2)
        attended = self.attention_out(self.attend(query, key, value, None).transpose(1, 2).flatten(2))
        filtered = lows + self.high.square() * (n - lows)
        h = h + self.drop(torch.lerp(attended, filtered.to(attended.dtype), self.mix))
        return h + self.drop(self.feed_forward(h)), (key, value), lows[:, -1]
