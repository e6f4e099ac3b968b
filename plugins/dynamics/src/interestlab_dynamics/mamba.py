"""A selective state space model: a linear recurrence with input-dependent coefficients."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab.contract import Dynamics
from interestlab_dynamics.elapsed_time import log_days
from interestlab_dynamics.feed_forward import FeedForward
from interestlab_dynamics.inverse_softplus import inverse_softplus
from interestlab_dynamics.transformer import init_weights


class MambaState(NamedTuple):
    """The states of all blocks.

    Attributes:
        windows: ``[B, E, conv − 1]`` per layer: the latest inputs of the convolution.
        memories: ``[B, E, N]`` per layer: the states of the recurrence.
        z: ``[B, D]`` the user state.
    """

    windows: tuple[Tensor, ...]
    memories: tuple[Tensor, ...]
    z: Tensor


class Mamba(Dynamics):
    """Mamba4Rec: a selective state space model whose step depends on the elapsed time.

    Each event is projected to two branches of E channels. One branch goes through a causal convolution over ``conv`` events
    and a SiLU, giving u, and then through N recurrences per channel, whose step Δ and vectors B and C are linear in u::

        h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t,     y_t = C_tᵀ h_t + D u_t

    A is negative, so |exp(Δ A)| < 1. The product of y and the SiLU of the other branch is projected back to D channels; a
    feed-forward layer follows. As in Mamba4Rec, both use post-norm, and a single layer has no residual connection around the
    recurrence.

    The elapsed time is part of the step: ``Δ = softplus(... + w log(1 + days))`` with a learnt w per channel, initialised
    with 0, which gives Mamba4Rec. After a long time the memory can then count less and the event more. It takes effect with
    the next event, so time alone does not change the user state.

    Source: Mamba4Rec, Liu et al. 2024, arXiv 2403.03900; Mamba, Gu and Dao 2023, arXiv 2312.00752.

    Args:
        dim: width of the model.
        layers: number of blocks, at least 1.
        dropout: share of activations dropped in training.
        state: N, the number of recurrences per channel.
        conv: number of events in the window of the convolution.
        expand: E in multiples of ``dim``.
        time: let the step depend on the days since the previous event; otherwise only the order counts.

    Raises:
        ValueError: a number is below 1.
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
        self.window_shape, self.memory_shape = (channels, conv - 1), (channels, state)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        self.blocks = nn.ModuleList(
            MambaBlock(SelectiveSSM(dim, channels, state, conv, time), dropout, residual=layers > 1) for _ in range(layers)
        )

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        return self._run(self.init_state(len(x)), x, dt)[1]

    def init_state(self, batch_size: int) -> MambaState:
        new_zeros = self.norm.weight.new_zeros
        return MambaState(
            tuple(new_zeros(batch_size, *self.window_shape) for _ in self.blocks),
            tuple(new_zeros(batch_size, *self.memory_shape) for _ in self.blocks),
            new_zeros(batch_size, self.dim),
        )

    def step(self, state: MambaState, x: Tensor, dt: Tensor) -> tuple[MambaState, Tensor]:
        state, z = self._run(state, x.unsqueeze(1), dt.unsqueeze(1))
        return state, z.squeeze(1)

    def readout(self, state: MambaState) -> Tensor:
        return state.z

    def _run(self, state: MambaState, x: Tensor, dt: Tensor) -> tuple[MambaState, Tensor]:
        """Continue from a state with events ``[B, T, D]``; return the new state and ``z [B, T, D]``."""
        z, elapsed = self.norm(self.dropout(x)), log_days(dt).unsqueeze(-1)
        windows, memories = [], []
        for block, window, memory in zip(self.blocks, state.windows, state.memories, strict=True):
            window, memory, z = block(window, memory, z, elapsed)
            windows.append(window)
            memories.append(memory)
        return MambaState(tuple(windows), tuple(memories), z[:, -1]), z


class MambaBlock(nn.Module):
    """A selective state space layer and a feed-forward layer, both with post-norm.

    Args:
        ssm: the state space layer.
        dropout: share of activations dropped in training.
        residual: add a residual connection around the state space layer.
    """

    def __init__(self, ssm: "SelectiveSSM", dropout: float, residual: bool) -> None:
        super().__init__()
        dim = ssm.out_proj.out_features
        self.residual = residual
        self.ssm = ssm
        self.drop = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim, dropout)
        self.feed_forward.apply(init_weights)

    def forward(self, window: Tensor, memory: Tensor, x: Tensor, elapsed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Continue with T events; the arguments and results are those of :meth:`SelectiveSSM.forward`."""
        window, memory, y = self.ssm(window, memory, x, elapsed)
        y = self.drop(y)
        return window, memory, self.feed_forward(self.norm(x + y if self.residual else y))


class SelectiveSSM(nn.Module):
    """Mamba's layer, initialised as in the public code of Mamba.

    Args:
        dim: D, the width of the model.
        channels: E.
        state: N, the number of recurrences per channel.
        conv: number of events in the window of the convolution.
        time: let the step depend on the elapsed time.
    """

    def __init__(self, dim: int, channels: int, state: int, conv: int, time: bool) -> None:
        super().__init__()
        rank = math.ceil(dim / 16)
        self.sizes = rank, state, state
        self.in_proj = nn.Linear(dim, 2 * channels, bias=False)
        self.conv = nn.Conv1d(channels, channels, conv, groups=channels)
        self.x_proj = nn.Linear(channels, sum(self.sizes), bias=False)
        self.dt_proj = nn.Linear(rank, channels)
        self.time_weight = nn.Parameter(torch.zeros(channels)) if time else None
        self.a_log = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).repeat(channels, 1))
        self.skip = nn.Parameter(torch.ones(channels))
        self.out_proj = nn.Linear(channels, dim, bias=False)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        # Steps from 0.001 to 0.1, log-uniform: the bias is their inverse softplus.
        steps = torch.exp(torch.empty(channels).uniform_(math.log(1e-3), math.log(1e-1)))
        with torch.no_grad():
            self.dt_proj.bias.copy_(inverse_softplus(steps))

    def forward(self, window: Tensor, memory: Tensor, x: Tensor, elapsed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Continue the recurrence with T events.

        Args:
            window: ``[B, E, conv − 1]`` latest inputs of the convolution.
            memory: ``[B, E, N]`` state of the recurrence.
            x: ``[B, T, D]`` inputs.
            elapsed: ``[B, T, 1]`` log of the days since the previous event.

        Returns:
            the new window, the new memory, and the outputs ``[B, T, D]``.
        """
        u, gate = self.in_proj(x).chunk(2, -1)
        inputs = torch.cat([window, u.transpose(1, 2)], 2)
        u = F.silu(self.conv(inputs)).transpose(1, 2).to(memory.dtype)
        step, b, c = self.x_proj(u).split(self.sizes, -1)
        step = self.dt_proj(step)
        if self.time_weight is not None:
            step = step + self.time_weight * elapsed
        memory, y = selective_scan(
            memory, F.softplus(step.to(memory.dtype)), -torch.exp(self.a_log), u, b.to(memory.dtype), c.to(memory.dtype)
        )
        return inputs[..., x.shape[1] :], memory, self.out_proj((y + self.skip * u) * F.silu(gate))


def selective_scan(h: Tensor, step: Tensor, a: Tensor, u: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Run the recurrence ``h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t`` with outputs ``y_t = C_tᵀ h_t``.

    Args:
        h: ``[B, E, N]`` state before the first event.
        step: ``[B, T, E]`` Δ.
        a: ``[E, N]`` A.
        u: ``[B, T, E]`` inputs.
        b: ``[B, T, N]`` B.
        c: ``[B, T, N]`` C.

    Returns:
        the last state ``[B, E, N]`` and y ``[B, T, E]``.
    """
    ys = []
    # A plain loop over T: measured faster on a CPU than a scan of depth log T over all events or over chunks of 16, and than
    # computing exp(Δ A) for all events at once.
    for step_t, drive_t, b_t, c_t in zip(step.unbind(1), (step * u).unbind(1), b.unbind(1), c.unbind(1), strict=True):
        h = torch.addcmul(torch.exp(step_t.unsqueeze(-1) * a) * h, drive_t.unsqueeze(-1), b_t.unsqueeze(1))
        ys.append(torch.bmm(h, c_t.unsqueeze(-1)).squeeze(-1))
    return h, torch.stack(ys, 1)
