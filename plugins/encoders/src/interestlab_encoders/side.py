"""A side network next to a frozen text model."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from interestlab.batch import Inputs
from interestlab.contract import FrozenTrunk
from interestlab_encoders.peft_encoder import Layers
from interestlab_encoders.text import TextEncoder


class SideBlock(nn.Module):
    """A residual bottleneck, ``h + up(gelu(down(h)))``, initialised as the identity.

    Args:
        dim: width of ``h``.
        width: width of the bottleneck.
        dropout: dropout probability inside the bottleneck.
    """

    def __init__(self, dim: int, width: int, dropout: float) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(dim, width), nn.Linear(width, dim)
        self.dropout = nn.Dropout(dropout)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, h: Tensor) -> Tensor:
        """Transform vectors.

        Args:
            h: ``[..., dim]``.

        Returns:
            ``[..., dim]``.
        """
        return h + self.up(self.dropout(F.gelu(self.down(h))))


class Side(TextEncoder):
    """A small trained network that reads the layers of a frozen pretrained text encoder (side network).

    With the pooled, normalised state s_i after layer i and m_i = sigmoid(g_i), h_i = block_i(m_i·s_i + (1 - m_i)·h_{i-1}): a
    gated sequence of bottlenecks as in IISAN and SSNA. No gradient enters the text model, so its ``layers + 1`` pooled states
    are computed once per text.

    Source: IISAN, Fu et al. 2024, arXiv 2404.02059; SSNA, arXiv 2310.01612.

    Args:
        layers: number of top layers to read, besides the state below them; or ``all``.
        width: width of each bottleneck.
        dropout: dropout probability inside the bottlenecks.
        kwargs: arguments of every text encoder.
    """

    def __init__(self, layers: Layers = "all", width: int = 64, dropout: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers, self.width, self.dropout = layers, width, dropout

    def adapt(self, pretrained_model: PreTrainedModel) -> nn.Module:
        pretrained_model.requires_grad_(False)
        self.first_state = len(self.layer_stack.layers) - len(self.layer_stack.top_layers(self.layers))
        num_states = len(self.layer_stack.layers) - self.first_state + 1
        self.blocks = nn.ModuleList(SideBlock(self.out_dim, self.width, self.dropout) for _ in range(num_states))
        self.gates = nn.Parameter(torch.zeros(num_states - 1))
        return pretrained_model

    def frozen_trunk(self) -> FrozenTrunk:
        depth = len(self.layer_stack.layers)

        @torch.no_grad()
        def forward(inputs: Inputs) -> Inputs:
            hidden_states = self.layer_stack.hidden_states(inputs, depth)[self.first_state :]
            pooled = [self.pool(state, inputs) for state in hidden_states]
            rows = torch.stack([F.layer_norm(state, state.shape[-1:]) for state in pooled], 1)
            return Inputs(rows, torch.full((len(rows),), rows.shape[1], device=rows.device))

        key = f"{self.base.sha256}-side-{self.first_state}-{self.pool.__name__}-{self.layer_stack.model.dtype}"
        return FrozenTrunk(forward, key, (self.out_dim,), rows_per_value=len(self.blocks), cache_dtype=self.cache)

    def forward_from_trunk(self, inputs: Inputs) -> Tensor:
        states = inputs.values.to(self.gates.dtype).unbind(1)
        h = self.blocks[0](states[0])
        for gate, state, block in zip(self.gates.sigmoid(), states[1:], self.blocks[1:], strict=True):
            h = block(gate * state + (1 - gate) * h)
        return F.normalize(h, dim=-1) if self.normalize else h

    def export(self, folder: Path, *, merged: bool) -> None:
        raise ValueError("side cannot be exported: its network is separate from the text model; use the checkpoint instead")
