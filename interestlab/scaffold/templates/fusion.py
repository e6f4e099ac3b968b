"""A fusion head: the mean of the streams that are present."""

from collections.abc import Mapping, Sequence

import torch
from interestlab.contract import FusionHead
from torch import Tensor, nn


class MyPlugin(FusionHead):
    """The mean of the streams that are present, each through a linear layer of its own, at first the identity.

    Args:
        dim: width of the model.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def build(self, streams: Sequence[str]) -> None:
        self.layers = nn.ModuleDict({name: identity(self.dim) for name in streams})

    def forward(self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        given = [name for name in self.layers if name in streams]  # any subset may be given
        here = torch.stack([present[name] for name in given]).unsqueeze(-1)
        # Chosen before the layer, not only multiplied after it: what stands at an absent place may be NaN.
        chosen = [torch.where(present[name].unsqueeze(-1), streams[name], 0.0) for name in given]
        read = torch.stack([self.layers[name](x) for name, x in zip(given, chosen, strict=True)])
        return (read * here).sum(0) / here.sum(0).clamp(min=1)


def identity(dim: int) -> nn.Linear:
    """A linear layer that changes nothing yet."""
    layer = nn.Linear(dim, dim)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
