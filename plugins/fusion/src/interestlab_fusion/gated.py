"""Every stream through a gate of its own."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from interestlab_fusion.head import Head
from interestlab_fusion.streams import mean_of_present


class Gated(Head):
    """The sum of the streams, each weighted in every channel by a gate that reads all of them: ``Σ g_s(x_1, …, x_S) ⊙ x_s``.

    The gated multimodal unit of Arevalo et al. (2017, arXiv 1702.01992), without its tanh layer before the gates: streams
    come in the width of the model already. The gates start equal, so training starts from the mean of the streams that are
    present. Where nothing is present the result is zero.

    Args:
        dim: width of the model.
        gate: ``softmax``: the streams that are present share a weight of 1; ``sigmoid``: the mean of the streams that are
            present, each first scaled between 0 and 2 by itself, so that all can be weak.
        kwargs: as for every head.
    """

    def __init__(self, dim: int, gate: Literal["softmax", "sigmoid"] = "softmax", **kwargs: Any) -> None:
        super().__init__(dim, **kwargs)
        if gate not in ("softmax", "sigmoid"):
            raise ValueError(f"gate '{gate}' is neither softmax nor sigmoid")
        self.gate = gate

    def build(self, streams: Sequence[str]) -> None:
        super().build(streams)
        self.gates = nn.Linear(len(streams) * self.dim, len(streams) * self.dim)
        nn.init.zeros_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)

    def join(self, values: Tensor, mask: Tensor) -> Tensor:
        scores = self.gates(values.flatten(-2)).view_as(values)
        if self.gate == "sigmoid":
            return mean_of_present(2 * scores.sigmoid() * values, mask)
        # The lowest finite number, not -inf: a row of which nothing is present would be NaN.
        weights = scores.masked_fill(~mask.unsqueeze(-1), torch.finfo(scores.dtype).min).softmax(-2)
        return (weights * values).sum(-2)
