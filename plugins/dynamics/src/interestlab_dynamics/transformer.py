"""Causal self-attention over the history (SASRec)."""

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab.contract import Dynamics, ParameterGroup
from interestlab_dynamics.inverse_softplus import inverse_softplus

Cache = tuple[Tensor, Tensor]
"""Keys and values ``[B, heads, N, D / heads]`` of the N events so far."""

TransformerState = tuple[tuple[Cache, ...], Tensor]
"""The cache of each block, and the user state ``[B, D]``."""


class Transformer(Dynamics):
    """SASRec: causal self-attention with learnt position embeddings, or with a recency bias in their place.

    Blocks use pre-norm and GELU; a LayerNorm follows the last one. The order of the events counts, the time between them
    does not. ``positions=absolute`` count from the first event; events from position ``max_length`` on share the last position
    embedding, so histories may be longer. ``positions=recency`` count back from the event that attends: each head subtracts a
    learnt slope times the distance from its attention scores. That takes ``heads`` weights per block instead of
    ``max_length × dim``, and suits small logs.

    Source: Kang and McAuley 2018, arXiv 1808.09781; the recency bias: ALiBi, Press et al. 2022, arXiv 2108.12409, whose slopes
    are constants.

    Args:
        dim: width of the model.
        layers: number of blocks, at least 1.
        heads: attention heads of each block; must divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        max_length: number of distinct absolute positions.
        expansion: width of the feed-forward layers, in multiples of ``dim``.
        positions: ``absolute`` or ``recency``.

    Raises:
        ValueError: ``dim`` is not divisible by ``heads``, ``layers`` or ``max_length`` is below 1, or ``positions`` is unknown.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        max_length: int = 512,
        expansion: int = 4,
        positions: Literal["absolute", "recency"] = "absolute",
    ) -> None:
        super().__init__()
        if positions not in ("absolute", "recency"):
            raise ValueError(f"positions is {positions!r}; it must be absolute or recency")
        if heads < 1 or dim % heads:
            raise ValueError(f"dim {dim} is not divisible by heads {heads}")
        if layers < 1 or max_length < 1:
            raise ValueError(f"layers ({layers}) and max_length ({max_length}) must be positive")
        self.dim = dim
        self.heads = heads
        self.positions = nn.Embedding(max_length, dim) if positions == "absolute" else None
        self.dropout = nn.Dropout(dropout)
        block = Block if positions == "absolute" else RecencyBlock
        self.blocks = nn.ModuleList(block(dim, heads, dropout, expansion * dim) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.apply(init_weights)

    def parameter_groups(self) -> Mapping[ParameterGroup, Iterable[nn.Parameter]]:
        return {"gains": [block.raw_slopes for block in self.blocks if isinstance(block, RecencyBlock)]}

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        # The padding comes after every real event, so the causal mask hides it.
        h = self.add_positions(x, torch.arange(x.shape[1], device=x.device))
        for block in self.blocks:
            h, _ = block(h)
        return self.norm(h)

    def init_state(self, batch_size: int) -> TransformerState:
        empty = self.norm.weight.new_empty(batch_size, self.heads, 0, self.dim // self.heads)
        return tuple((empty, empty) for _ in self.blocks), empty.new_zeros(batch_size, self.dim)

    def step(self, state: TransformerState, x: Tensor, dt: Tensor) -> tuple[TransformerState, Tensor]:
        old_caches, _ = state
        position = old_caches[0][0].shape[2]
        h = self.add_positions(x.unsqueeze(1), torch.tensor([position], device=x.device))
        caches = []
        for block, cache in zip(self.blocks, old_caches, strict=True):
            h, cache = block(h, cache=cache)
            caches.append(cache)
        z = self.norm(h).squeeze(1)
        return (tuple(caches), z), z

    def readout(self, state: TransformerState) -> Tensor:
        return state[1]

    def add_positions(self, x: Tensor, positions: Tensor) -> Tensor:
        """Add absolute position embeddings, if there are any, to events, and apply dropout.

        Args:
            x: ``[B, T, D]`` events.
            positions: ``[T]`` int64 position of each event, from 0.

        Returns:
            ``[B, T, D]``.
        """
        if self.positions is not None:
            x = x + self.positions(positions.clamp(max=self.positions.num_embeddings - 1))
        return self.dropout(x)


class Block(nn.Module):
    """A pre-norm transformer block: causal self-attention and a feed-forward layer, each with a residual connection.

    Args:
        dim: width of the model.
        heads: attention heads; must divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        hidden: width of the feed-forward layer.
    """

    def __init__(self, dim: int, heads: int, dropout: float, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.attention_out = nn.Linear(dim, dim)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )
        self.drop = nn.Dropout(dropout)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, relation: Tensor | None) -> Tensor:
        """Attend to the events up to each query.

        Args:
            query: ``[B, heads, T, D / heads]`` of the last T events.
            key: ``[B, heads, N, D / heads]`` of all N events.
            value: ``[B, heads, N, D / heads]``.
            relation: time features of subclasses; unused here.

        Returns:
            ``[B, heads, T, D / heads]``.
        """
        dropout = self.dropout if self.training else 0.0
        causal = query.shape[2] == key.shape[2]
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=causal)

    def forward(self, h: Tensor, relation: Tensor | None = None, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """Transform events.

        Args:
            h: ``[B, T, D]``; with a cache, T is 1.
            relation: time features of the events, for subclasses.
            cache: keys and values of all earlier events; None at the start of a history.

        Returns:
            ``[B, T, D]``, and the cache with these events.
        """
        heads = self.query_key_value(self.attention_norm(h)).unflatten(-1, (3, self.heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:
            key, value = torch.cat([cache[0], key], 2), torch.cat([cache[1], value], 2)
        attended = self.attend(query, key, value, relation)
        h = h + self.drop(self.attention_out(attended.transpose(1, 2).flatten(2)))
        return h + self.drop(self.feed_forward(h)), (key, value)


class RecencyBlock(Block):
    """A transformer block whose attention scores fall with the distance between events, by a learnt slope per head.

    Args:
        dim: width of the model.
        heads: attention heads; must divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        hidden: width of the feed-forward layer.
    """

    def __init__(self, dim: int, heads: int, dropout: float, hidden: int) -> None:
        super().__init__(dim, heads, dropout, hidden)
        slopes = 2.0 ** (-8 * torch.arange(1.0, heads + 1) / heads)  # those of ALiBi
        self.raw_slopes = nn.Parameter(inverse_softplus(slopes))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, relation: Tensor | None) -> Tensor:
        index = torch.arange(key.shape[2], device=key.device)
        distance = index[-query.shape[2] :, None] - index
        bias = -F.softplus(self.raw_slopes)[:, None, None] * distance
        bias = bias.masked_fill(distance < 0, -torch.inf).to(query.dtype)
        dropout = self.dropout if self.training else 0.0
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)


def init_weights(module: nn.Module) -> None:
    """Initialise weights with Normal(0, 0.02) and biases with zeros, as in BERT and the public code of SASRec.

    Args:
        module: a module; only linear layers and embeddings change.
    """
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
