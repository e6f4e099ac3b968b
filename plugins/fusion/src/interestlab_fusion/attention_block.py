"""A transformer block for few tokens."""

import math

import torch
from torch import Tensor, nn


class AttentionBlock(nn.Module):
    """A pre-norm transformer block: self-attention and a feed-forward layer, each with a residual connection.

    Args:
        dim: width of a token.
        heads: attention heads; must divide ``dim``.
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
        """Transform tokens.

        Args:
            tokens: ``[..., N, D]``.
            mask: ``[..., N]`` bool, False for tokens that no other token may attend to; None attends to all.

        Returns:
            ``[..., N, D]``.
        """
        # Written out, because fused attention accepts at most 65,535 rows on a GPU (pytorch issue 146704) and has no
        # advantage with this few tokens.
        heads = self.query_key_value(self.norm(tokens)).unflatten(-1, (3, self.heads, -1))
        query, key, value = (part.transpose(-3, -2) for part in heads.unbind(-3))
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        if mask is not None:
            # Every token may attend to itself: a softmax over no token is NaN.
            attendable = mask.unsqueeze(-2) | torch.eye(mask.shape[-1], dtype=torch.bool, device=mask.device)
            scores = scores.masked_fill(~attendable.unsqueeze(-3), -math.inf)
        attended = self.drop(scores.softmax(-1)) @ value
        tokens = tokens + self.drop(self.attention_out(attended.transpose(-3, -2).flatten(-2)))
        return tokens + self.drop(self.feed_forward(tokens))
