"""A fusion head: the weighted mean of the streams that are present."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from interestlab.contract import FusionHead


class Gate(FusionHead):
    """The mean of the streams that are present, weighted by a learnt gate per stream and channel.

    Args:
        dim: width of the model.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def build(self, streams: Sequence[str]) -> None:
        self.gates = nn.ParameterDict({name: nn.Parameter(torch.zeros(self.dim)) for name in streams})

    def forward(self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        total, weight = 0.0, 0.0
        for name, gate in self.gates.items():
            if name in streams:  # any non-empty subset may be passed
                is_present = present[name][..., None]
                gain = torch.sigmoid(gate) * is_present
                # torch.where instead of a product: the value of a missing stream may be NaN.
                total = total + gain * torch.where(is_present, streams[name], 0.0)
                weight = weight + gain
        return total / weight.clamp(min=1e-6)
