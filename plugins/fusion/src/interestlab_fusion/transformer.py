"""Streams as the tokens of a transformer."""

from typing import Any

from torch import Tensor, nn

from interestlab_fusion.block import Block
from interestlab_fusion.head import TokenHead
from interestlab_fusion.streams import mean_of_present


class Transformer(TokenHead):
    """Self-attention among the streams that are present, each a token: ``mean + W mean(T(x_1 + e_1, …, x_S + e_S))``.

    ``e`` is a learnt vector that says which stream a token is. Missing streams are not looked at and take no part in the
    means. ``W`` starts at zero, so training starts from the mean. Where nothing is present the result is zero.

    Args:
        dim: width of the model.
        layers: number of blocks.
        heads: attention heads of each block; they divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        expansion: width of the feed-forward layers, in multiples of ``dim``.
        kwargs: as for every head.

    Raises:
        ValueError: ``dim`` is not divisible by ``heads``, or ``layers`` is not positive.
    """

    def __init__(
        self, dim: int, layers: int = 1, heads: int = 2, dropout: float = 0.0, expansion: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(dim, **kwargs)
        if layers < 1:
            raise ValueError(f"layers={layers}: one at least is needed")
        self.blocks = nn.ModuleList(Block(dim, heads, dropout, expansion) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def read(self, tokens: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens, mask)
        return mean_of_present(self.norm(tokens), mask)
