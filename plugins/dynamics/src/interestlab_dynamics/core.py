"""Attention whose values are the item vectors themselves (CORE)."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab.contract import Dynamics, ParameterGroup
from interestlab_dynamics.inverse_softplus import inverse_softplus
from interestlab_dynamics.transformer import Cache, Transformer, TransformerState, init_weights

CoreState = tuple[TransformerState, Cache]
"""State of the transformer, and the keys and events ``[B, 1, N, D]`` of the N events so far."""


class Core(Dynamics):
    """CORE: a weighted average of the event embeddings themselves, whose weights a transformer chooses.

    ``z_t = Σ_{j≤t} a_tj x_j`` with ``a_t = softmax_j(q(h_t)·k(h_j) / √D + λ (j − t))``, where ``h`` is the output of a causal
    transformer. So the user state stays in the space of the items ("representation-consistent"). ``q`` starts at zero and the
    recency slope λ > 0 is learnt, so training starts from a normalised exponentially weighted average.

    Differences from the paper: its weights come from one vector per session and no recency slope; its encoder is not causal,
    since it is trained on the last position alone.

    Source: Hou et al. 2022, "CORE: Simple and Effective Session-based Recommendation within Consistent Representation Space",
    arXiv 2204.11067.

    Args:
        dim: width of the model.
        layers: number of transformer blocks.
        heads: attention heads of each block; must divide ``dim``.
        dropout: share of activations, attention weights and event channels dropped in training.
        max_length: number of distinct positions.
        expansion: width of the feed-forward layers, in multiples of ``dim``.
        beta: initial weight of the newest event in the average, between 0 and 1: ``λ = −log(1 − β)``.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        max_length: int = 512,
        expansion: int = 4,
        beta: float = 0.3,
    ) -> None:
        super().__init__()
        if not 0 < beta < 1:
            raise ValueError(f"beta is {beta}; it must be between 0 and 1")
        self.dim = dim
        self.encoder = Transformer(dim, layers, heads, dropout, max_length, expansion)
        self.query, self.key = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        init_weights(self.key)
        nn.init.zeros_(self.query.weight)
        slope = -torch.log1p(torch.tensor(-beta))
        self.raw_slope = nn.Parameter(inverse_softplus(slope))
        self.dropout = nn.Dropout(dropout)

    def parameter_groups(self) -> Mapping[ParameterGroup, Iterable[nn.Parameter]]:
        return {"gains": [self.raw_slope]}

    def average(self, h: Tensor, keys: Tensor, x: Tensor) -> Tensor:
        """Average events with the weights of the last T of them.

        Args:
            h: ``[B, T, D]`` output of the transformer for the last T events.
            keys: ``[B, 1, N, D]`` of all N events.
            x: ``[B, 1, N, D]`` embeddings of all N events.

        Returns:
            ``[B, T, D]``.
        """
        total = torch.arange(x.shape[2], device=x.device)
        age = total[-h.shape[1] :, None] - total
        bias = (-F.softplus(self.raw_slope) * age).masked_fill(age < 0, -torch.inf)
        return F.scaled_dot_product_attention(self.query(h).unsqueeze(1), keys, x, attn_mask=bias.to(keys.dtype)).squeeze(1)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        h = self.encoder(x, dt, mask)
        return self.average(h, self.key(h).unsqueeze(1), self.dropout(x).unsqueeze(1).to(h.dtype))

    def init_state(self, batch_size: int) -> CoreState:
        empty = self.key.weight.new_empty(batch_size, 1, 0, self.dim)
        return self.encoder.init_state(batch_size), (empty, empty)

    def step(self, state: CoreState, x: Tensor, dt: Tensor) -> tuple[CoreState, Tensor]:
        encoder, (keys, events) = state
        encoder, h = self.encoder.step(encoder, x, dt)
        keys = torch.cat([keys, self.key(h)[:, None, None]], 2)
        events = torch.cat([events, self.dropout(x)[:, None, None].to(h.dtype)], 2)
        return (encoder, (keys, events)), self.average(h.unsqueeze(1), keys, events).squeeze(1)

    def readout(self, state: CoreState) -> Tensor:
        encoder, (keys, events) = state
        if not events.shape[2]:
            return encoder[1]
        return self.average(self.encoder.readout(encoder).unsqueeze(1), keys, events).squeeze(1)
