"""A small network beside a frozen text model."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from interestlab.batch import Inputs
from interestlab.contract import FrozenTrunk
from interestlab_encoders.text import TextEncoder
from interestlab_encoders.tuned import Layers


class Bottleneck(nn.Module):
    """``h + up(gelu(down(h)))``, at first ``h`` itself.

    Args:
        dim: width of ``h``.
        width: of the bottleneck.
        dropout: probability, inside of it.
    """

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(dim, width), nn.Linear(width, dim)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.up(self.dropout(F.gelu(self.down(h))))


class Side(TextEncoder):
    """A frozen text model whose layers are read by a small trained network beside it.

    With s_i the pooled, normalised state after layer i and m_i = sigmoid(g_i): h_i = block_i(m_i·s_i + (1 - m_i)·h_{i-1}), a
    gated chain of bottlenecks as in IISAN (arXiv 2404.02059) and SSNA (2310.01612). No gradient enters the text model, and
    what is read of it is computed once a text: ``layers + 1`` vectors.

    Args:
        layers: how many of the top layers are read, beside the state under them; or ``all``.
        width: of each bottleneck.
        dropout: probability, inside the bottlenecks.
        kwargs: as for every text encoder.
    """

    def __init__(self, layers: Layers = "all", width: int = 64, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers, self.width, self.dropout = layers, width, dropout

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        backbone.requires_grad_(False)
        self.read_from = len(self.chain.layers) - len(self.chain.choose(self.layers))
        states = len(self.chain.layers) - self.read_from + 1
        self.blocks = nn.ModuleList(Bottleneck(self.out_dim, self.width, self.dropout) for _ in range(states))
        self.gates = nn.Parameter(torch.zeros(states - 1))
        return backbone

    def frozen_trunk(self) -> FrozenTrunk:
        depth = len(self.chain.layers)

        @torch.no_grad()
        def forward(inputs: Inputs) -> Inputs:
            states = [self.pool(state, inputs) for state in self.chain.states(inputs, depth)[self.read_from :]]
            rows = torch.stack([F.layer_norm(state, state.shape[-1:]) for state in states], 1)
            return Inputs(rows, torch.full((len(rows),), rows.shape[1], device=rows.device))

        key = f"{self.base.sha256}-side-{self.read_from}-{self.pool.__name__}-{self.chain.model.dtype}"
        return FrozenTrunk(forward, key, (self.out_dim,), rows_per_value=len(self.blocks), cache_dtype=self.cache)

    def forward_from_trunk(self, inputs: Inputs) -> Tensor:
        states = inputs.values.to(self.gates.dtype).unbind(1)
        h = self.blocks[0](states[0])
        for gate, state, block in zip(self.gates.sigmoid(), states[1:], self.blocks[1:], strict=True):
            h = block(gate * state + (1 - gate) * h)
        return F.normalize(h, dim=-1) if self.normalize else h

    def export(self, folder: Path, *, merged: bool) -> None:
        raise ValueError("side has no form that other programs load: its network stands beside the model; keep the checkpoint")
