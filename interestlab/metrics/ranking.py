"""Every user against the whole catalogue, a tile at a time: users × catalogue never exists.

Scores are computed in float64 and compared in float32. So two items of equal vectors tie whatever the shape of the
matrix product that scored them, and a rank does not depend on which users or items were scored together.

Cost: users × items × width multiplications; memory ``TILE`` scores.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

TILE = 4_000_000
"""Scores that exist at once."""


def tiles(z: Tensor, table: Tensor, seen: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Scores of all users for a stretch of the catalogue at a time, what they have seen at minus infinity.

    Args:
        z: ``[B, D]`` interests, or ``[B, K, D]`` several of each user, of which the best counts.
        table: ``[N, D]`` items.
        seen: ``[B, S]`` items left out, -1 where none.

    Yields:
        first item of the stretch, scores ``[B, n]`` float32.
    """
    width = max(1, TILE // max(1, z[..., 0].numel()))
    for first in range(0, len(table), width):
        scores = (z @ table[first : first + width].T).float()
        scores = scores.amax(1) if z.ndim == 3 else scores
        here = seen - first
        inside = (here >= 0) & (here < scores.shape[1])
        users = torch.arange(len(z), device=z.device)[:, None].expand_as(seen)
        scores[users[inside], here[inside]] = -torch.inf
        yield first, scores


def target_ranks(z: Tensor, table: Tensor, targets: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """How many items score above each user's target, and how many others score the same.

    A target that was seen before competes all the same: it is what happened.

    Args:
        z: as for :func:`tiles`, and so are ``table`` and ``seen``.
        targets: ``[B]`` the items whose places are wanted.

    Returns:
        better ``[B]``, equal ``[B]`` int64.
    """
    seen = torch.where(seen == targets[:, None], -1, seen)
    wanted = torch.empty(len(z), dtype=torch.float32, device=z.device)
    for first, scores in tiles(z, table, seen):
        here = (targets >= first) & (targets < first + scores.shape[1])
        wanted[here] = scores[here].gather(1, (targets[here] - first)[:, None])[:, 0]
    better, equal = torch.zeros_like(targets), torch.zeros_like(targets)
    for _, scores in tiles(z, table, seen):
        better += (scores > wanted[:, None]).sum(1)
        equal += (scores == wanted[:, None]).sum(1)
    return better, equal - 1


def top_k_items(z: Tensor, table: Tensor, seen: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` items of highest score of each user, ties by lower index; fewer where the catalogue is smaller.

    Returns:
        items ``[B, k]`` int64 and their scores ``[B, k]`` float32; a seen item has score minus infinity.
    """
    best = torch.empty(len(z), 0, dtype=torch.int64, device=z.device)
    for first, scores in tiles(z, table, seen):
        index = torch.arange(first, first + scores.shape[1], device=z.device)
        best = torch.cat([best, keys(scores, index)], 1)
        best = best.topk(min(k, best.shape[1]), 1).values
    return LOW - (best & LOW), unkeyed(best)


LOW = 2**31 - 1


def keys(scores: Tensor, index: Tensor) -> Tensor:
    """Int64 keys that sort by score, then by lower index: no two are equal, so no order is left to chance."""
    bits = (scores + 0.0).view(torch.int32)  # -0.0 + 0.0 is 0.0
    ordered = torch.where(bits < 0, bits ^ LOW, bits)  # the bits of a negative float fall as it rises
    return (ordered.long() << 32) | (LOW - index)


def unkeyed(keys: Tensor) -> Tensor:
    """The scores of :func:`keys`."""
    ordered = (keys >> 32).int()
    return torch.where(ordered < 0, ordered ^ LOW, ordered).view(torch.float32)
