"""Several interests by dynamic routing of the events so far."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from interestlab_dynamics.timed_block import ahead


class Routed(NamedTuple):
    """Interests, and the N events that they are made of.

    Attributes:
        z: ``[B, K, D]`` the interests.
        events: ``[B, N, D]`` the events as they are read.
    """

    z: Tensor
    events: Tensor


class DynamicRouting(nn.Module):
    """MIND's behaviour-to-interest routing (Li et al. 2019, arXiv 1904.08030), anew for the events up to each position.

    With ``e_j = S x_j`` and logits ``b_kj``, at first ``p_k·e_j``, some times over: ``w_kj = softmax_k b_kj``,
    ``z_k = squash(Σ_{j≤t} w_kj e_j)``, ``b_kj ← b_kj + z_k·e_j``. ``squash`` keeps the direction and takes a length n to
    ``n² / (1 + n²)``.

    The paper draws the first logits at random, also anew for each prediction; here they are learnt prototypes ``p_k``, so
    that a history has one answer.

    Each prefix is routed by itself: T prefixes take ``O(T² K D)`` an iteration and hold ``T² K`` numbers, a step O(N K D) after
    N events, all of which it keeps.

    Args:
        dim: width of the events.
        num_interests: K.
        iterations: how often the events are routed.
    """

    def __init__(self, dim: int, num_interests: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.read = nn.Linear(dim, dim, bias=False)
        self.prototypes = nn.Linear(dim, num_interests, bias=False)

    def route(self, events: Tensor, queries: int) -> Tensor:
        """``[B, T, K, D]`` the interests after each of the last T of the events ``[B, N, D]``."""
        past = ~ahead(queries, events.shape[1], events.device).unsqueeze(1)
        logits = self.prototypes(events).transpose(1, 2).unsqueeze(1)
        z = squash(joined(logits, past, events))
        for _ in range(self.iterations - 1):
            logits = logits + (z.flatten(1, 2) @ events.transpose(1, 2)).unflatten(1, z.shape[1:3])
            z = squash(joined(logits, past, events))
        return z

    def forward(self, x: Tensor) -> Tensor:
        """``[B, T, D]`` -> ``[B, T, K, D]``"""
        return self.route(self.events(x), x.shape[1])

    def events(self, x: Tensor) -> Tensor:
        """Events as they are read."""
        return self.read(x).to(self.read.weight.dtype)

    def init_state(self, batch_size: int) -> Routed:
        """Before the first event."""
        interests, dim = self.prototypes.weight.shape
        z = self.read.weight.new_zeros(batch_size, interests, dim)
        return Routed(z, z.new_empty(batch_size, 0, dim))

    def step(self, state: Routed, x: Tensor) -> Routed:
        """After one more event ``[B, D]``."""
        events = torch.cat([state.events, self.events(x).unsqueeze(1)], 1)
        return Routed(self.route(events, 1).squeeze(1), events)


def joined(logits: Tensor, past: Tensor, events: Tensor) -> Tensor:
    """``[B, T, K, D]`` the sum of the past events ``[B, N, D]``, each shared out among the K by its logits ``[B, T, K, N]``."""
    shares = logits.softmax(2) * past
    return (shares.flatten(1, 2) @ events).unflatten(1, shares.shape[1:3]).to(events.dtype)


def squash(z: Tensor) -> Tensor:
    """The same direction, and n² / (1 + n²) of the length n."""
    # To a half 1e-9 is 0, where the root has no gradient.
    wide = z.to(torch.promote_types(z.dtype, torch.float32))
    n2 = wide.square().sum(-1, keepdim=True)
    return (wide * (n2 + 1e-9).sqrt() / (1 + n2)).to(z.dtype)
