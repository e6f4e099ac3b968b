"""A linear recurrence with complex channels."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics
from interestlab_dynamics.feed_forward import FeedForward
from interestlab_dynamics.transformer import init_weights

EDGE = 1e-6
"""Minimum distance of ``r_max`` from 1: closer, its logarithm rounds to 0 and the memory never decays."""


class LRUState(NamedTuple):
    """The states of all recurrences.

    Attributes:
        memories: ``[B, 2 D, 2]`` per layer: real and imaginary parts.
        z: ``[B, D]`` the user state.
    """

    memories: tuple[Tensor, ...]
    z: Tensor


class LRU(Dynamics):
    """LRURec: linear recurrent units with complex channels.

    Each block computes ``h_t = λ h_{t-1} + γ (B x_t)`` in 2 D complex channels, then ``LayerNorm(x_t + Re(C h_t))`` and a
    feed-forward layer. ``λ = exp(−exp(ν) + i exp(θ))`` ensures |λ| ≤ 1 for all weights. λ is initialised uniformly on the
    ring between the radii ``r_min`` and ``r_max``, and ``γ = √(1 − |λ|²)`` gives each channel the variance of its input.

    There are no position embeddings, because the recurrence encodes the order; the elapsed time is not used. As in LRURec,
    and unlike in the original LRU blocks, the output is not gated.

    Source: LRURec, Yue et al. 2024, arXiv 2310.02367; LRU, Orvieto et al. 2023, arXiv 2303.06349.

    Args:
        dim: width of the model.
        layers: number of blocks, at least 1.
        dropout: share of activations dropped in training.
        r_min: smallest initial |λ|.
        r_max: largest initial |λ|; the memory lasts about 1 / (1 − r_max) events.

    Raises:
        ValueError: ``layers`` is below 1, or not 0 < ``r_min`` < ``r_max`` < 1.
    """

    def __init__(self, dim: int, layers: int = 2, dropout: float = 0.2, r_min: float = 0.8, r_max: float = 0.99) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}; it must be positive")
        if not 0 < r_min < r_max <= 1 - EDGE:
            raise ValueError(f"r_min ({r_min}) must be smaller than r_max ({r_max}), both between 0 and 1 − {EDGE:g}")
        self.dim = dim
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(LRUBlock(dim, dropout, r_min, r_max) for _ in range(layers))
        self.apply(init_weights)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        return self._run(self.init_state(len(x)), x)[1]

    def init_state(self, batch_size: int) -> LRUState:
        weight = self.norm.weight
        zeros = weight.new_zeros(batch_size, 2 * self.dim, 2, dtype=_recurrence_dtype(weight))
        return LRUState(tuple(zeros for _ in self.blocks), weight.new_zeros(batch_size, self.dim))

    def step(self, state: LRUState, x: Tensor, dt: Tensor) -> tuple[LRUState, Tensor]:
        state, z = self._run(state, x.unsqueeze(1))
        return state, z.squeeze(1)

    def readout(self, state: LRUState) -> Tensor:
        return state.z

    def _run(self, state: LRUState, x: Tensor) -> tuple[LRUState, Tensor]:
        """Continue from a state with events ``[B, T, D]``; return the new state and ``z [B, T, D]``."""
        z, memories = self.norm(self.dropout(x)), []
        for block, memory in zip(self.blocks, state.memories, strict=True):
            memory, z = block(memory, z)
            memories.append(memory)
        return LRUState(tuple(memories), z[:, -1]), z


class LRUBlock(nn.Module):
    """A complex linear recurrence and a feed-forward layer, both with residual connection and post-norm.

    Args:
        dim: width of the model.
        dropout: share of activations dropped in training.
        r_min: smallest initial |λ|.
        r_max: largest initial |λ|.
    """

    def __init__(self, dim: int, dropout: float, r_min: float, r_max: float) -> None:
        super().__init__()
        channels = 2 * dim
        radius = torch.empty(channels).uniform_(r_min**2, r_max**2).sqrt()
        # 1 − rand lies in (0, 1], so its logarithm is finite.
        angle = 2 * math.pi * (1 - torch.rand(channels))
        self.nu_log = nn.Parameter(torch.log(-torch.log(radius)))
        self.theta_log = nn.Parameter(torch.log(angle))
        self.gamma_log = nn.Parameter(torch.log1p(-radius.square()) / 2)
        # A complex map as a real one of twice the width, so that the weights keep the module's dtype.
        self.in_proj = nn.Linear(dim, 2 * channels)
        self.out_proj = nn.Linear(2 * channels, dim)
        self.drop = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, dropout)

    def eigenvalues(self) -> Tensor:
        """Return the eigenvalues λ of the recurrence.

        Returns:
            ``[2 D]``, complex.
        """
        nu_log, theta_log = (log.to(_recurrence_dtype(log)) for log in (self.nu_log, self.theta_log))
        return torch.polar(torch.exp(-torch.exp(nu_log)), torch.exp(theta_log))

    def forward(self, memory: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Continue the recurrence with T events.

        Args:
            memory: ``[B, 2 D, 2]`` state of the recurrence.
            x: ``[B, T, D]`` inputs.

        Returns:
            the new memory, and the outputs ``[B, T, D]``.
        """
        scale, decay = torch.exp(self.gamma_log.to(_recurrence_dtype(self.gamma_log))), self.eigenvalues()
        drives = torch.view_as_complex(self.in_proj(x).to(scale.dtype).unflatten(-1, (-1, 2))) * scale
        h, hs = torch.view_as_complex(memory), []
        # A plain loop over T with one fused operation: measured faster on a CPU than a scan of depth log T or an FFT.
        for drive in drives.unbind(1):
            h = torch.addcmul(drive, decay, h)
            hs.append(h)
        memories = torch.view_as_real(torch.stack(hs, 1)).flatten(2).to(self.out_proj.weight.dtype)
        return torch.view_as_real(h), self.feed_forward(self.norm(x + self.drop(self.out_proj(memories))))


def _recurrence_dtype(weight: Tensor) -> torch.dtype:
    """Return the weight's dtype, or float32 for half precision, for which torch has no complex numbers."""
    return torch.promote_types(weight.dtype, torch.float32)
