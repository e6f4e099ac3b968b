"""A transformer block over a handful of tokens."""

import math

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Attention and a feed-forward layer, each normed before and added after.

    Args:
        dim: width of a token.
        heads: of the attention; they divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        expansion: width of the feed-forward layer, in multiples of ``dim``.

    Raises:
        ValueError: ``dim`` is not divisible by ``heads``.
    """

    def __init__(self, dim: int, heads: int, dropout: float, expansion: int) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim {dim} is not divisible by heads {heads}")
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.attention_out = nn.Linear(dim, dim)
        hidden = expansion * dim
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """``[..., N, D]`` -> the same; where ``mask [..., N]`` is False no other token looks."""
        # Written out: fused attention may take no more than 65,535 rows on a GPU (pytorch issue 146704), and so few tokens
        # gain nothing by it.
        heads = self.query_key_value(self.norm(tokens)).unflatten(-1, (3, self.heads, -1))
        query, key, value = (part.transpose(-3, -2) for part in heads.unbind(-3))
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        if mask is not None:
            # Each may look at itself, for a softmax of nothing would be NaN.
            seen = mask.unsqueeze(-2) | torch.eye(mask.shape[-1], dtype=torch.bool, device=mask.device)
            scores = scores.masked_fill(~seen.unsqueeze(-3), -math.inf)
        attended = self.drop(scores.softmax(-1)) @ value
        tokens = tokens + self.drop(self.attention_out(attended.transpose(-3, -2).flatten(-2)))
        return tokens + self.drop(self.feed_forward(tokens))
