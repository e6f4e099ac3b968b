"""A learnt query looks at the streams that are there."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from interestlab_fusion.head import TokenHead


class Attention(TokenHead):
    """Attention pooling over the streams that are present: ``mean + W softmax(q·k) v``, with a learnt query ``q``.

    Keys and values are read from each stream plus a learnt vector that says which stream it is (pooling by a learnt query:
    Lee et al. 2019, Set Transformer, arXiv 1810.00825, section 3.2, with one seed). Missing streams take no part in the
    softmax or in the mean. ``W`` starts at zero, so training starts from the mean. Where nothing is present the result is
    zero.

    Args:
        dim: width of the model.
        heads: number of queries, each on its own share of the width; they divide ``dim``.
        dropout: share of the attended vector dropped in training.
        kwargs: as for every head.

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

    def read(self, tokens: Tensor, mask: Tensor) -> Tensor:
        key, value = self.key_value(tokens).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        scores = (key * self.query).sum(-1) / math.sqrt(self.query.shape[-1])
        # The lowest finite number, not -inf: a row of which nothing is present would be NaN.
        weights = scores.masked_fill(~mask.unsqueeze(-1), torch.finfo(scores.dtype).min).softmax(-2)
        weights = weights * mask.unsqueeze(-1)
        return self.drop((weights.unsqueeze(-1) * value).sum(-3).flatten(-2))
