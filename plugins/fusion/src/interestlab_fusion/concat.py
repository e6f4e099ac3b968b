"""Streams side by side through a small network."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from interestlab.contract import FusionHead
from interestlab_fusion.streams import mean_of_present, side_by_side


class Concat(FusionHead):
    """Concatenates the streams, a learnt vector in the place of each that is missing: ``mean + MLP([x_1, …, x_S])``.

    The mean is that of the streams which are present. The last layer of the MLP starts at zero, so training starts from
    the mean: near what each stream means by itself, instead of a random mixture.

    Args:
        dim: width of the model.
        dropout: share of the hidden activations dropped in training.
    """

    def __init__(self, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dim = dim
        self.dropout = dropout

    def build(self, streams: Sequence[str]) -> None:
        self.streams = list(streams)
        self.missing = nn.Parameter(torch.zeros(len(streams), self.dim))
        last = nn.Linear(self.dim, self.dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first = nn.Linear(len(streams) * self.dim, self.dim)
        self.mlp = nn.Sequential(first, nn.GELU(), nn.Dropout(self.dropout), last)

    def forward(self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        values, mask = side_by_side(self.streams, streams, present)
        filled = torch.where(mask.unsqueeze(-1), values, self.missing.to(values.dtype))
        return mean_of_present(values, mask) + self.mlp(filled.flatten(-2))
