"""Attention bottlenecks."""

from typing import Any

import torch
from torch import Tensor, nn

from interestlab_fusion.attention_block import AttentionBlock
from interestlab_fusion.head import TokenHead
from interestlab_fusion.streams import mean_of_present


class Bottleneck(TokenHead):
    """Attention bottlenecks: streams exchange information only through a few shared tokens (MBT).

    In each block, a stream attends to itself and to the shared tokens. The shared tokens of all streams that are present are
    averaged before the next block. All streams use the same blocks; a learnt embedding identifies each stream. The result is
    ``mean + W mean(streams after the last block)``. ``W`` is initialised with zeros, so training starts from the mean. The
    result is zero if no stream is present.

    Source: Nagrani et al. 2021, arXiv 2107.00135, equations 8 and 9.

    Args:
        dim: width of the model.
        tokens: number of shared tokens, at least 1.
        layers: number of blocks, at least 2: the shared tokens collect information in one block and pass it on in the next.
        heads: attention heads of each block; must divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        expansion: width of the feed-forward layers, in multiples of ``dim``.
        kwargs: arguments of every fusion head.

    Raises:
        ValueError: ``dim`` is not divisible by ``heads``, ``tokens`` is below 1 or ``layers`` below 2.
    """

    def __init__(
        self,
        dim: int,
        tokens: int = 2,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.0,
        expansion: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(dim, **kwargs)
        if tokens < 1 or layers < 2:
            raise ValueError(f"tokens={tokens} must be at least 1 and layers={layers} at least 2, so that streams can interact")
        self.tokens = nn.Parameter(0.02 * torch.randn(tokens, dim))
        self.blocks = nn.ModuleList(AttentionBlock(dim, heads, dropout, expansion) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def transform(self, tokens: Tensor, mask: Tensor) -> Tensor:
        own, shared = tokens.unsqueeze(-2), self.tokens.expand(*mask.shape, -1, -1)
        for i, block in enumerate(self.blocks):
            if i > 0:
                average = mean_of_present(shared.flatten(-2), mask).view(*mask.shape[:-1], *shared.shape[-2:])
                shared = average.unsqueeze(-3).expand_as(shared)
            attended = block(torch.cat([own, shared], -2))
            own, shared = attended[..., :1, :], attended[..., 1:, :]
        return mean_of_present(self.norm(own.squeeze(-2)), mask)
