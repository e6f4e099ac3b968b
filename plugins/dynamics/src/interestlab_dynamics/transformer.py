"""Self-attention over the whole history."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab.contract import Dynamics

Cache = tuple[Tensor, Tensor]
"""Keys and values ``[B, heads, N, D / heads]`` of the N events so far."""

History = tuple[tuple[Cache, ...], Tensor]
"""The cache of each block, and the interest ``[B, D]``."""


class Transformer(Dynamics):
    """SASRec: causal self-attention with learnt positions (Kang and McAuley 2018, arXiv 1808.09781).

    Blocks are pre-norm, with GELU and a final LayerNorm. It sees the order of the events, not the time between them.
    Positions count from the first event; from ``max_length`` on they share the last one, so longer histories still work.

    Args:
        dim: width of the model.
        layers: number of blocks.
        heads: attention heads of each block; they divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        max_length: number of positions that are told apart.
        expansion: width of the feed-forward layers, in multiples of ``dim``.

    Raises:
        ValueError: ``dim`` is not divisible by ``heads``, or ``layers`` or ``max_length`` is not positive.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        max_length: int = 512,
        expansion: int = 4,
    ) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim {dim} is not divisible by heads {heads}")
        if layers < 1 or max_length < 1:
            raise ValueError(f"layers ({layers}) and max_length ({max_length}) must be positive")
        self.dim = dim
        self.heads = heads
        self.positions = nn.Embedding(max_length, dim)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, expansion * dim) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)
        self.apply(init_weights)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        # The padding is on the right, after every real event: the causal mask alone hides it.
        h = self.place(x, torch.arange(x.shape[1], device=x.device))
        for block in self.blocks:
            h, _ = block(h)
        return self.norm(h)

    def init_state(self, batch_size: int) -> History:
        none = self.positions.weight.new_empty(batch_size, self.heads, 0, self.dim // self.heads)
        return tuple((none, none) for _ in self.blocks), none.new_zeros(batch_size, self.dim)

    def step(self, state: History, x: Tensor, dt: Tensor) -> tuple[History, Tensor]:
        before, _ = state
        so_far = before[0][0].shape[2]
        h = self.place(x.unsqueeze(1), torch.tensor([so_far], device=x.device))
        caches = []
        for block, cache in zip(self.blocks, before, strict=True):
            h, cache = block(h, cache=cache)
            caches.append(cache)
        z = self.norm(h).squeeze(1)
        return (tuple(caches), z), z

    def readout(self, state: History) -> Tensor:
        return state[1]

    def place(self, x: Tensor, positions: Tensor) -> Tensor:
        """Events ``[B, T, D]`` with their positions ``[T]`` added."""
        return self.dropout(x + self.positions(positions.clamp(max=self.positions.num_embeddings - 1)))


class Block(nn.Module):
    """Attention and a feed-forward layer, each normed before and added after."""

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
        """``[B, heads, T, D / heads]`` what each query sees of the events up to its own."""
        dropout = self.dropout if self.training else 0.0
        causal = query.shape[2] == key.shape[2]
        return F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=causal)

    def forward(self, h: Tensor, relation: Tensor | None = None, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """``[B, T, D]`` -> the same and the cache; with a cache, T is 1 and it sees every event before.

        ``relation`` is what attention knows of the events beside them.
        """
        heads = self.query_key_value(self.attention_norm(h)).unflatten(-1, (3, self.heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
        if cache is not None:
            key, value = torch.cat([cache[0], key], 2), torch.cat([cache[1], value], 2)
        seen = self.attend(query, key, value, relation)
        h = h + self.drop(self.attention_out(seen.transpose(1, 2).flatten(2)))
        return h + self.drop(self.feed_forward(h)), (key, value)


def init_weights(module: nn.Module) -> None:
    """Normal(0, 0.02) weights and zero biases, as in BERT and the public code of SASRec."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
