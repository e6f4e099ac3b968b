"""Concatenation and a small network."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from interestlab_fusion.head import Head
from interestlab_fusion.streams import mean_of_present


class Concat(Head):
    """A small network over the concatenated streams, added to their mean: ``mean + MLP([x_1, …, x_S])``.

    A learnt vector replaces each missing stream in the concatenation; the mean is over the streams that are present. The
    last layer of the network is initialised with zeros, so training starts from the mean.

    Args:
        dim: width of the model.
        dropout: share of the hidden activations dropped in training.
        kwargs: arguments of every fusion head.
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
