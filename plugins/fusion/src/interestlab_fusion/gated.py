"""Gated sum of streams."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from interestlab_fusion.head import Head
from interestlab_fusion.streams import mean_of_present


class Gated(Head):
    """A gated sum of the streams: ``Σ g_s(x_1, …, x_S) ⊙ x_s``, where every gate depends on all streams.

    This is the gated multimodal unit without its tanh layer before the gates, because the streams already have the width of
    the model. All gates start equal, so training starts from the mean of the streams that are present. The result is zero if
    no stream is present.

    Source: Arevalo et al. 2017, arXiv 1702.01992.

    Args:
        dim: width of the model.
        gate: ``softmax``: the gates of the streams that are present sum to 1. ``sigmoid``: the mean of the streams that are
            present, each scaled by its own gate between 0 and 2, so that all of them can be small.
        kwargs: arguments of every fusion head.

    Raises:
        ValueError: ``gate`` is unknown.
    """

    def __init__(self, dim: int, gate: Literal["softmax", "sigmoid"] = "softmax", **kwargs: Any) -> None:
        super().__init__(dim, **kwargs)
        if gate not in ("softmax", "sigmoid"):
            raise ValueError(f"gate is '{gate}'; it must be softmax or sigmoid")
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
        # The lowest finite number instead of -inf: -inf gives NaN in rows without any stream.
        weights = scores.masked_fill(~mask.unsqueeze(-1), torch.finfo(scores.dtype).min).softmax(-2)
        return (weights * values).sum(-2)
