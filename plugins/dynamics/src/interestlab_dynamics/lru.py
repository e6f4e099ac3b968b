"""A linear recurrence of complex channels."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from interestlab.contract import Dynamics
from interestlab_dynamics.feed_forward import FeedForward
from interestlab_dynamics.transformer import init_weights

EDGE = 1e-6
"""How far from 1 ``r_max`` stays: nearer, its logarithm rounds to 0 and the memory knows no end."""


class LRUState(NamedTuple):
    """Where the recurrences stand.

    Attributes:
        memories: ``[B, 2 D, 2]`` of each layer: real and imaginary parts.
        z: ``[B, D]`` the interest.
    """

    memories: tuple[Tensor, ...]
    z: Tensor


class LRU(Dynamics):
    """LRURec (Yue et al. 2024, arXiv 2310.02367): linear recurrent units (Orvieto et al. 2023, arXiv 2303.06349).

    In each of 2 D complex channels ``h_t = λ h_{t-1} + γ (B x_t)``, then ``LayerNorm(x_t + Re(C h_t))`` and a feed-forward
    layer. ``λ = exp(−exp(ν) + i exp(θ))``: |λ| ≤ 1 whatever is learnt. At first λ is uniform on the ring from ``r_min`` to
    ``r_max``, and ``γ = √(1 − |λ|²)`` gives each channel the variance of its input.

    There are no positions, since the recurrence knows the order, and the elapsed time is not seen. As in LRURec, and unlike
    the blocks of LRU, the output is not gated.

    Args:
        dim: width of the model.
        layers: number of blocks.
        dropout: share of activations dropped in training.
        r_min: least |λ| at the start.
        r_max: largest |λ| at the start; a memory of about 1 / (1 − r_max) events.

    Raises:
        ValueError: ``layers`` is not positive, or the ring is not one within the unit circle.
    """

    def __init__(self, dim: int, layers: int = 2, dropout: float = 0.2, r_min: float = 0.8, r_max: float = 0.99) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers is {layers}; it must be positive")
        if not 0 < r_min < r_max <= 1 - EDGE:
            raise ValueError(f"r_min ({r_min}) and r_max ({r_max}) must lie in this order between 0 and 1 − {EDGE:g}")
        self.dim = dim
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(LRUBlock(dim, dropout, r_min, r_max) for _ in range(layers))
        self.apply(init_weights)

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        return self.follow(self.init_state(len(x)), x)[1]

    def init_state(self, batch_size: int) -> LRUState:
        weight = self.norm.weight
        none = weight.new_zeros(batch_size, 2 * self.dim, 2, dtype=wide(weight))
        return LRUState(tuple(none for _ in self.blocks), weight.new_zeros(batch_size, self.dim))

    def step(self, state: LRUState, x: Tensor, dt: Tensor) -> tuple[LRUState, Tensor]:
        state, z = self.follow(state, x.unsqueeze(1))
        return state, z.squeeze(1)

    def readout(self, state: LRUState) -> Tensor:
        return state.z

    def follow(self, state: LRUState, x: Tensor) -> tuple[LRUState, Tensor]:
        """Go on from a state with events ``[B, T, D]`` -> the state after them and ``z [B, T, D]``."""
        z, memories = self.norm(self.dropout(x)), []
        for block, memory in zip(self.blocks, state.memories, strict=True):
            memory, z = block(memory, z)
            memories.append(memory)
        return LRUState(tuple(memories), z[:, -1]), z


class LRUBlock(nn.Module):
    """The recurrence and a feed-forward layer, each added and normed after."""

    def __init__(self, dim: int, dropout: float, r_min: float, r_max: float) -> None:
        super().__init__()
        channels = 2 * dim
        radius = torch.empty(channels).uniform_(r_min**2, r_max**2).sqrt()
        # 1 − rand lies in (0, 1], so its logarithm is finite.
        angle = 2 * math.pi * (1 - torch.rand(channels))
        self.nu_log = nn.Parameter(torch.log(-torch.log(radius)))
        self.theta_log = nn.Parameter(torch.log(angle))
        self.gamma_log = nn.Parameter(torch.log1p(-radius.square()) / 2)
        # A complex map is a real one of twice the width, which stays in the module's dtype.
        self.read = nn.Linear(dim, 2 * channels)
        self.write = nn.Linear(2 * channels, dim)
        self.drop = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, dropout)

    def eigenvalues(self) -> Tensor:
        """λ ``[2 D]``, complex."""
        nu_log, theta_log = (log.to(wide(log)) for log in (self.nu_log, self.theta_log))
        return torch.polar(torch.exp(-torch.exp(nu_log)), torch.exp(theta_log))

    def forward(self, memory: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """``memory [B, 2 D, 2]`` and ``x [B, T, D]`` -> the memory after them and the output ``[B, T, D]``."""
        scale, decay = torch.exp(self.gamma_log.to(wide(self.gamma_log))), self.eigenvalues()
        pulls = torch.view_as_complex(self.read(x).to(scale.dtype).unflatten(-1, (-1, 2))) * scale
        h, hs = torch.view_as_complex(memory), []
        # A plain loop over T of one fused operation: measured faster on a CPU than a scan of depth log T or an FFT.
        for pull in pulls.unbind(1):
            h = torch.addcmul(pull, decay, h)
            hs.append(h)
        seen = torch.view_as_real(torch.stack(hs, 1)).flatten(2).to(self.write.weight.dtype)
        return torch.view_as_real(h), self.feed_forward(self.norm(x + self.drop(self.write(seen))))


def wide(weight: Tensor) -> torch.dtype:
    """The type of the recurrence: the weight's, or float32 where that is a half, of which torch has no complex numbers."""
    return torch.promote_types(weight.dtype, torch.float32)
