"""Streams side by side through a small network."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interestlab_fusion.head import Head
from interestlab_fusion.streams import mean_of_present


class Concat(Head):
    """Concatenates the streams, a learnt vector in the place of each that is missing: ``mean + MLP([x_1, …, x_S])``.

    The mean is that of the streams which are present. The last layer of the MLP starts at zero, so training starts from
    the mean: near what each stream means by itself, instead of a random mixture.

    Args:
        dim: width of the model.
        dropout: share of the hidden activations dropped in training.
        kwargs: as for every head.
    """

    def __init__(self, dim: int, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(dim, **kwargs)
        self.dropout = dropout

    def build(self, streams: Sequence[str]) -> None:
        super().build(streams)
        self.missing = nn.Parameter(torch.zeros(len(streams), self.dim))
        last = nn.Linear(self.dim, self.dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first = nn.Linear(len(streams) * self.dim, self.dim)
        self.mlp = nn.Sequential(first, nn.GELU(), nn.Dropout(self.dropout), last)

    def join(self, values: Tensor, mask: Tensor) -> Tensor:
        filled = torch.where(mask.unsqueeze(-1), values, self.missing.to(values.dtype))
        return mean_of_present(values, mask) + self.mlp(filled.flatten(-2))
