"""A dynamics that another one corrects."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

import interestlab.dynamics
from interestlab.contract import Dynamics, ParameterGroup, State

HybridState = tuple[State, State]
"""States of the two dynamics."""


class Hybrid(Dynamics):
    """The sum of two dynamics: ``z = base(x) + γ ⊙ inner(x)``.

    γ is learnt per channel and starts at 0, so training starts from the base, an average of the events unless another one is
    chosen, and uses as much of the other dynamics as lowers the loss. If one of the two has several interests, the other one
    is added to each.

    Args:
        dim: width of the model.
        inner: name of the dynamics that corrects the base.
        inner_args: its arguments, without ``dim``.
        base: name of the dynamics to start from.
        base_args: its arguments, without ``dim``.
        dropout: argument of both dynamics, unless their arguments contain another value; None leaves their defaults.

    Raises:
        ValueError: one of the two refuses its arguments, or both have several interests and not as many.
        PluginError: no dynamics has that name.
    """

    def __init__(
        self,
        dim: int,
        inner: str = "transformer",
        inner_args: dict[str, Any] = {},  # noqa: B006 (read only)
        base: str = "ewma",
        base_args: dict[str, Any] = {},  # noqa: B006 (read only)
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        self.dim = dim
        shared = {} if dropout is None else {"dropout": dropout}
        self.base = build("base", base, dim, shared | base_args)
        self.inner = build("inner", inner, dim, shared | inner_args)
        counts = {self.base.num_interests, self.inner.num_interests}
        self.num_interests = max(counts)
        if len(counts) == 2 and 1 not in counts:
            raise ValueError(
                f"{base} has {self.base.num_interests} interests and {inner} has {self.inner.num_interests}; "
                "set num_interests in base_args and inner_args to the same number"
            )
        self.gamma = nn.Parameter(torch.zeros(dim))

    def parameter_groups(self) -> Mapping[ParameterGroup, Iterable[nn.Parameter]]:
        groups: dict[ParameterGroup, list[nn.Parameter]] = {}
        for dynamics in (self.base, self.inner):
            for group, parameters in dynamics.parameter_groups().items():
                groups.setdefault(group, []).extend(parameters)
        return groups

    def penalty(self) -> Tensor | None:
        penalties = [p for dynamics in (self.base, self.inner) if (p := dynamics.penalty()) is not None]
        return torch.stack(penalties).sum() if penalties else None

    def forward(self, x: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        return self.join(self.base(x, dt, mask), self.inner(x, dt, mask))

    def join(self, base: Tensor, inner: Tensor) -> Tensor:
        """Add the scaled state of the inner dynamics to that of the base.

        Args:
            base: ``[..., D]``, or ``[..., K, D]`` if it has several interests.
            inner: the same of the inner dynamics.

        Returns:
            ``[..., D]`` or ``[..., K, D]``.
        """
        if self.num_interests > self.base.num_interests:
            base = base.unsqueeze(-2)
        if self.num_interests > self.inner.num_interests:
            inner = inner.unsqueeze(-2)
        return base + self.gamma * inner

    def init_state(self, batch_size: int) -> HybridState:
        return self.base.init_state(batch_size), self.inner.init_state(batch_size)

    def step(self, state: HybridState, x: Tensor, dt: Tensor) -> tuple[HybridState, Tensor]:
        base, z = self.base.step(state[0], x, dt)
        inner, correction = self.inner.step(state[1], x, dt)
        return (base, inner), self.join(z, correction)

    def readout(self, state: HybridState) -> Tensor:
        return self.join(self.base.readout(state[0]), self.inner.readout(state[1]))

    def advance(self, state: HybridState, dt: Tensor) -> HybridState:
        return self.base.advance(state[0], dt), self.inner.advance(state[1], dt)


def build(argument: str, name: str, dim: int, init_args: Mapping[str, Any]) -> Dynamics:
    """Return a dynamics.

    Args:
        argument: ``base`` or ``inner``, for messages.
        name: of a registered dynamics.
        dim: width of the model.
        init_args: its other arguments.

    Raises:
        ValueError: it has no argument of that name, or refuses a value.
    """
    try:
        dynamics: Dynamics = getattr(interestlab.dynamics, name)(dim=dim, **init_args)
    except TypeError as err:
        raise ValueError(f"{argument}_args of {name}: {err}") from err
    return dynamics
