"""Streams that meet in a few tokens only."""

from typing import Any

import torch
from torch import Tensor, nn

from interestlab_fusion.block import Block
from interestlab_fusion.head import TokenHead
from interestlab_fusion.streams import mean_of_present


class Bottleneck(TokenHead):
    """Attention bottlenecks: in each block a stream sees itself and a few shared tokens, and nothing of the others.

    What the streams that are present make of the shared tokens is averaged, and goes into the next block: so they exchange
    only what these tokens hold (Nagrani et al. 2021, arXiv 2107.00135, equations 8 and 9). Here the blocks are shared by
    the streams, which a learnt vector each tells apart. The result is ``mean + W mean(streams after the last block)``; ``W``
    starts at zero, so training starts from the mean. Where nothing is present the result is zero.

    Args:
        dim: width of the model.
        tokens: number of shared tokens.
        layers: number of blocks; two at least, one in which the shared tokens read and one in which they are read.
        heads: attention heads of each block; they divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        expansion: width of the feed-forward layers, in multiples of ``dim``.
        kwargs: as for every head.

    Raises:
        ValueError: ``dim`` is not divisible by ``heads``, there is no token, or fewer than two layers.
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
            raise ValueError(f"tokens={tokens}, layers={layers}: streams meet through one token and two layers at least")
        self.tokens = nn.Parameter(0.02 * torch.randn(tokens, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, expansion) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def read(self, tokens: Tensor, mask: Tensor) -> Tensor:
        own, shared = tokens.unsqueeze(-2), self.tokens.expand(*mask.shape, -1, -1)
        for place, block in enumerate(self.blocks):
            if place:
                joined = mean_of_present(shared.flatten(-2), mask).unflatten(-1, shared.shape[-2:])
                shared = joined.unsqueeze(-3).expand_as(shared)
            seen = block(torch.cat([own, shared], -2))
            own, shared = seen[..., :1, :], seen[..., 1:, :]
        return mean_of_present(self.norm(own.squeeze(-2)), mask)
