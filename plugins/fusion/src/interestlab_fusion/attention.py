"""Attention pooling over streams."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from interestlab_fusion.head import TokenHead


class Attention(TokenHead):
    """Attention pooling with a learnt query over the streams that are present: ``mean + W softmax(q·k) v``.

    Keys and values are linear in each stream plus a learnt embedding of the stream. Missing streams are excluded from the
    softmax and from the mean. ``W`` is initialised with zeros, so training starts from the mean. The result is zero if no
    stream is present.

    Source: pooling by multi-head attention with one seed, Set Transformer, Lee et al. 2019, arXiv 1810.00825, section 3.2.

    Args:
        dim: width of the model.
        heads: number of queries, each on its own part of the width; must divide ``dim``.
        dropout: share of the attended vector dropped in training.
        kwargs: arguments of every fusion head.

    Raises:
        ValueError: ``dim`` is not divisible by ``heads``.
    """

    def __init__(self, dim: int, heads: int = 2, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(dim, **kwargs)
        if heads < 1 or dim % heads:
            raise ValueError(f"dim {dim} is not divisible by heads {heads}")
        self.heads = heads
        self.query = nn.Parameter(torch.randn(heads, dim // heads))
        self.key_value = nn.Linear(dim, 2 * dim)
        self.drop = nn.Dropout(dropout)

    def transform(self, tokens: Tensor, mask: Tensor) -> Tensor:
        key, value = self.key_value(tokens).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        scores = (key * self.query).sum(-1) / math.sqrt(self.query.shape[-1])
        # The lowest finite number instead of -inf: -inf gives NaN in rows without any stream.
        weights = scores.masked_fill(~mask.unsqueeze(-1), torch.finfo(scores.dtype).min).softmax(-2)
        weights = weights * mask.unsqueeze(-1)
        return self.drop((weights.unsqueeze(-1) * value).sum(-3).flatten(-2))
