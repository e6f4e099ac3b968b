"""A fusion head: the mean of the streams that are present."""

from collections.abc import Mapping, Sequence

import torch
from interestlab.contract import FusionHead
from torch import Tensor, nn


class MyPlugin(FusionHead):
    """The mean of the streams that are present, each after its own linear layer, initialised as the identity.

    Args:
        dim: width of the model.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def build(self, streams: Sequence[str]) -> None:
        self.layers = nn.ModuleDict({name: identity(self.dim) for name in streams})

    def forward(self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        passed = [name for name in self.layers if name in streams]  # any non-empty subset may be passed
        is_present = torch.stack([present[name] for name in passed]).unsqueeze(-1)
        # torch.where before the layer, because the value of a missing stream may be NaN.
        filled = [torch.where(present[name].unsqueeze(-1), streams[name], 0.0) for name in passed]
        mapped = torch.stack([self.layers[name](x) for name, x in zip(passed, filled, strict=True)])
        return (mapped * is_present).sum(0) / is_present.sum(0).clamp(min=1)


def identity(dim: int) -> nn.Linear:
    """Return a linear layer initialised as the identity."""
    layer = nn.Linear(dim, dim)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
