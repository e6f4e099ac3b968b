"""A selective state space: a linear recurrence whose coefficients each event chooses."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab.contract import Dynamics
from interestlab_dynamics.feed_forward import FeedForward
from interestlab_dynamics.silence import log_days
from interestlab_dynamics.transformer import init_weights


class MambaState(NamedTuple):
    """Where the recurrences stand.

    Attributes:
        windows: ``[B, E, conv − 1]`` of each layer: the last inputs of its convolution.
        memories: ``[B, E, N]`` of each layer.
        z: ``[B, D]`` the interest.
    """

    windows: tuple[Tensor, ...]
    memories: tuple[Tensor, ...]
    z: Tensor


class Mamba(Dynamics):
    """Mamba4Rec (Liu et al. 2024, arXiv 2403.03900): selective state spaces (Gu and Dao 2023, arXiv 2312.00752).

    Of each event come two branches of E channels; one goes through a causal convolution of the last ``conv`` events and a
    SiLU, u, and through N recurrences in each channel, whose step Δ and vectors B and C are linear in u::

        h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t,     y_t = C_tᵀ h_t + D u_t

    with A negative, so |exp(Δ A)| < 1. y times the SiLU of the other branch goes back to D channels; a feed-forward layer
    follows. As in Mamba4Rec each is normed after, and a single layer has no residual connection around the recurrence.

    The elapsed time is part of the step, ``Δ = softplus(... + w log(1 + days))``, w being learnt in each channel and at first
    0, which is Mamba4Rec: after a silence the memory may count for less and the event for more. It is read with the event
    that ends it, so a silence alone moves nothing.

    Args:
        dim: width of the model.
        layers: number of blocks.
        dropout: share of activations dropped in training.
        state: N, the recurrences of each channel.
        conv: events that the convolution sees at once.
        expand: E, in multiples of ``dim``.
        time: let the step depend on the days since the previous event; otherwise only the order is seen.

    Raises:
        ValueError: a number is not positive.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 1,
        dropout: float = 0.2,
        state: int = 16,
        conv: int = 4,
        expand: int = 2,
        time: bool = True,
    ) -> None:
        super().__init__()
        if min(layers, state, conv, expand) < 1:
            raise ValueError(f"layers ({layers}), state ({state}), conv ({conv}) and expand ({expand}) must be positive")
        channels = expand * dim
        self.dim = dim
        self.window, self.memory = (channels, conv - 1), (channels, state)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(
            MambaBlock(SelectiveSSM(dim, channels, state, conv, time), dropout, residual=layers > 1) for _ in range(layers)
        )

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        return self.follow(self.init_state(len(x)), x, dt)[1]

    def init_state(self, batch_size: int) -> MambaState:
        new_zeros = self.norm.weight.new_zeros
        return MambaState(
            tuple(new_zeros(batch_size, *self.window) for _ in self.blocks),
            tuple(new_zeros(batch_size, *self.memory) for _ in self.blocks),
            new_zeros(batch_size, self.dim),
        )

    def step(self, state: MambaState, x: Tensor, dt: Tensor) -> tuple[MambaState, Tensor]:
        state, z = self.follow(state, x.unsqueeze(1), dt.unsqueeze(1))
        return state, z.squeeze(1)

    def readout(self, state: MambaState) -> Tensor:
        return state.z

    def follow(self, state: MambaState, x: Tensor, dt: Tensor) -> tuple[MambaState, Tensor]:
        """Go on from a state with events ``[B, T, D]`` -> the state after them and ``z [B, T, D]``."""
        z, silence = self.norm(self.dropout(x)), log_days(dt).unsqueeze(-1)
        windows, memories = [], []
        for block, window, memory in zip(self.blocks, state.windows, state.memories, strict=True):
            window, memory, z = block(window, memory, z, silence)
            windows.append(window)
            memories.append(memory)
        return MambaState(tuple(windows), tuple(memories), z[:, -1]), z


class MambaBlock(nn.Module):
    """The state space and a feed-forward layer, each normed after."""

    def __init__(self, ssm: "SelectiveSSM", dropout: float, residual: bool) -> None:
        super().__init__()
        dim = ssm.write.out_features
        self.residual = residual
        self.ssm = ssm
        self.drop = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, dropout)
        self.feed_forward.apply(init_weights)

    def forward(self, window: Tensor, memory: Tensor, x: Tensor, silence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        window, memory, y = self.ssm(window, memory, x, silence)
        y = self.drop(y)
        return window, memory, self.feed_forward(self.norm(x + y if self.residual else y))


class SelectiveSSM(nn.Module):
    """Mamba's layer, ``[B, T, D]`` -> ``[B, T, D]``, begun as in the public code of Mamba."""

    def __init__(self, dim: int, channels: int, state: int, conv: int, time: bool) -> None:
        super().__init__()
        rank = math.ceil(dim / 16)
        self.sizes = rank, state, state
        self.read = nn.Linear(dim, 2 * channels, bias=False)
        self.conv = nn.Conv1d(channels, channels, conv, groups=channels)
        self.select = nn.Linear(channels, sum(self.sizes), bias=False)
        self.step_size = nn.Linear(rank, channels)
        self.silence = nn.Parameter(torch.zeros(channels)) if time else None
        self.a_log = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).repeat(channels, 1))
        self.skip = nn.Parameter(torch.ones(channels))
        self.write = nn.Linear(channels, dim, bias=False)
        nn.init.uniform_(self.step_size.weight, -(rank**-0.5), rank**-0.5)
        # Steps from 0.001 to 0.1, evenly in the logarithm: the bias is their inverse of softplus.
        steps = torch.exp(torch.empty(channels).uniform_(math.log(1e-3), math.log(1e-1)))
        with torch.no_grad():
            self.step_size.bias.copy_(steps + torch.log(-torch.expm1(-steps)))

    def forward(self, window: Tensor, memory: Tensor, x: Tensor, silence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Window ``[B, E, conv − 1]``, memory ``[B, E, N]``, x and the log of the days ``[B, T, 1]`` -> what is after them."""
        u, gate = self.read(x).chunk(2, -1)
        inputs = torch.cat([window, u.transpose(1, 2)], 2)
        u = F.silu(self.conv(inputs)).transpose(1, 2).to(memory.dtype)
        step, write, read = self.select(u).split(self.sizes, -1)
        step = self.step_size(step)
        if self.silence is not None:
            step = step + self.silence * silence
        memory, y = scan(
            memory, F.softplus(step.to(memory.dtype)), -torch.exp(self.a_log), u, write.to(memory.dtype), read.to(memory.dtype)
        )
        return inputs[..., x.shape[1] :], memory, self.write((y + self.skip * u) * F.silu(gate))


def scan(h: Tensor, step: Tensor, a: Tensor, u: Tensor, write: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
    """``h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t`` and ``y_t = C_tᵀ h_t``.

    Args:
        h: ``[B, E, N]`` the memory before the first event.
        step: ``[B, T, E]`` Δ.
        a: ``[E, N]`` A.
        u: ``[B, T, E]``
        write: ``[B, T, N]`` B.
        read: ``[B, T, N]`` C.

    Returns:
        the last h, and y ``[B, T, E]``.
    """
    ys = []
    # A plain loop over T: measured faster on a CPU than a scan of depth log T, of all events or of 16 at a time, and than
    # making exp(Δ A) for all events at once.
    for delta, pull, b, c in zip(step.unbind(1), (step * u).unbind(1), write.unbind(1), read.unbind(1), strict=True):
        h = torch.addcmul(torch.exp(delta.unsqueeze(-1) * a) * h, pull.unsqueeze(-1), b.unsqueeze(1))
        ys.append(torch.bmm(h, c.unsqueeze(-1)).squeeze(-1))
    return h, torch.stack(ys, 1)
