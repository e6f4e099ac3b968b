"""Self-attention among streams."""

from typing import Any

from torch import Tensor, nn

from interestlab_fusion.attention_block import AttentionBlock
from interestlab_fusion.head import TokenHead
from interestlab_fusion.streams import mean_of_present


class Transformer(TokenHead):
    """Self-attention among the streams that are present: ``mean + W mean(T(x_1 + e_1, …, x_S + e_S))``.

    ``T`` is a transformer and ``e`` a learnt embedding of each stream. Missing streams are excluded from the attention and
    the means. ``W`` is initialised with zeros, so training starts from the mean. The result is zero if no stream is present.

    Args:
        dim: width of the model.
        layers: number of blocks, at least 1.
        heads: attention heads of each block; must divide ``dim``.
        dropout: share of activations and attention weights dropped in training.
        expansion: width of the feed-forward layers, in multiples of ``dim``.
        kwargs: arguments of every fusion head.

    Raises:
        ValueError: ``dim`` is not divisible by ``heads``, or ``layers`` is below 1.
    """

    def __init__(
        self, dim: int, layers: int = 1, heads: int = 2, dropout: float = 0.0, expansion: int = 2, **kwargs: Any
    ) -> None:
        super().__init__(dim, **kwargs)
        if layers < 1:
            raise ValueError(f"layers={layers} must be at least 1")
        self.blocks = nn.ModuleList(AttentionBlock(dim, heads, dropout, expansion) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def transform(self, tokens: Tensor, mask: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens, mask)
        return mean_of_present(self.norm(tokens), mask)
