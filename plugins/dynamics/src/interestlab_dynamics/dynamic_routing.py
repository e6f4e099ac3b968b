"""Multi-interest extraction by dynamic routing (MIND)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from interestlab_dynamics.time_aware_block import future_mask


class RoutingState(NamedTuple):
    """Interests and the N events that they are extracted from.

    Attributes:
        z: ``[B, K, D]`` the interests.
        events: ``[B, N, D]`` the mapped events.
    """

    z: Tensor
    events: Tensor


class DynamicRouting(nn.Module):
    """MIND's behaviour-to-interest routing, repeated for the events up to each position.

    With ``e_j = S x_j`` and initial logits ``b_kj = p_k·e_j``, each iteration computes ``w_kj = softmax_k b_kj``,
    ``z_k = squash(Σ_{j≤t} w_kj e_j)`` and ``b_kj ← b_kj + z_k·e_j``. ``squash`` preserves the direction and maps a length n to
    ``n² / (1 + n²)``.

    The paper samples the initial logits randomly for each prediction; here they come from learnt prototypes ``p_k``, so that
    a history has a deterministic result.

    The history up to each position is routed separately: T positions take ``O(T² K D)`` per iteration and store ``T² K``
    numbers. A step after N events takes O(N K D) and stores all events.

    Source: Li et al. 2019, arXiv 1904.08030.

    Args:
        dim: width of the events.
        num_interests: K.
        iterations: number of routing iterations.
    """

    def __init__(self, dim: int, num_interests: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.in_proj = nn.Linear(dim, dim, bias=False)
        self.prototypes = nn.Linear(dim, num_interests, bias=False)

    def route(self, events: Tensor, queries: int) -> Tensor:
        """Route events to interests.

        Args:
            events: ``[B, N, D]`` mapped events.
            queries: T; interests are computed after each of the last T events.

        Returns:
            ``[B, T, K, D]``.
        """
        visible = ~future_mask(queries, events.shape[1], events.device).unsqueeze(1)
        logits = self.prototypes(events).transpose(1, 2).unsqueeze(1)
        z = squash(_weighted_sum(logits, visible, events))
        for _ in range(self.iterations - 1):
            agreement = z.flatten(1, 2) @ events.transpose(1, 2)
            logits = logits + agreement.view(*z.shape[:3], events.shape[1])
            z = squash(_weighted_sum(logits, visible, events))
        return z

    def forward(self, x: Tensor) -> Tensor:
        """Extract the interests after every event.

        Args:
            x: ``[B, T, D]`` events.

        Returns:
            ``[B, T, K, D]``.
        """
        return self.route(self.map_events(x), x.shape[1])

    def map_events(self, x: Tensor) -> Tensor:
        """Apply the shared linear map S.

        Args:
            x: ``[..., D]`` events.

        Returns:
            ``[..., D]``, with the dtype of the weights.
        """
        return self.in_proj(x).to(self.in_proj.weight.dtype)

    def init_state(self, batch_size: int) -> RoutingState:
        """Return the state before the first event.

        Args:
            batch_size: number of users.

        Returns:
            the state.
        """
        interests, dim = self.prototypes.weight.shape
        z = self.in_proj.weight.new_zeros(batch_size, interests, dim)
        return RoutingState(z, z.new_empty(batch_size, 0, dim))

    def step(self, state: RoutingState, x: Tensor) -> RoutingState:
        """Process one event.

        Args:
            state: the state before the event.
            x: ``[B, D]`` the event.

        Returns:
            the new state.
        """
        events = torch.cat([state.events, self.map_events(x).unsqueeze(1)], 1)
        return RoutingState(self.route(events, 1).squeeze(1), events)


def _weighted_sum(logits: Tensor, visible: Tensor, events: Tensor) -> Tensor:
    """Sum the visible events ``[B, N, D]``, each divided among the K interests by its logits ``[B, T, K, N]``."""
    shares = logits.softmax(2) * visible
    return (shares.flatten(1, 2) @ events).view(*shares.shape[:3], events.shape[-1]).to(events.dtype)


def squash(z: Tensor) -> Tensor:
    """Map a vector of length n to length n² / (1 + n²), with the same direction.

    Args:
        z: ``[..., D]``.

    Returns:
        ``[..., D]``.
    """
    # In half precision 1e-9 is 0, where the root has no gradient.
    z_wide = z.to(torch.promote_types(z.dtype, torch.float32))
    squared_norm = z_wide.square().sum(-1, keepdim=True)
    return (z_wide * (squared_norm + 1e-9).sqrt() / (1 + squared_norm)).to(z.dtype)
