"""Streams of the same thing, side by side."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def side_by_side(names: Sequence[str], streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """All streams in the order of ``names``, those that are not given being absent.

    Returns:
        ``[..., S, D]``, zero where absent, and ``[..., S]`` bool, False where absent.

    Raises:
        ValueError: no stream is given, or one that the head was not built for.
    """
    if not streams:
        raise ValueError("no stream is given")
    if unknown := sorted(set(streams) - set(names)):
        raise ValueError(f"streams {unknown} are unknown; the head was built for {list(names)}")
    like = next(iter(streams.values()))
    absent, nowhere = torch.zeros_like(like), torch.zeros(like.shape[:-1], dtype=torch.bool, device=like.device)
    mask = torch.stack([present[name] if name in streams else nowhere for name in names], -1)
    values = torch.stack([streams.get(name, absent) for name in names], -2)
    return where_present(values, mask), mask


def dropped(values: Tensor, mask: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """Streams as of :func:`side_by_side`, each of a row's gone with probability ``rate``; of all that would go, one stays.

    A stream of a row with n present goes with probability ``rate - rate**n / n``.
    """
    luck = torch.rand(mask.shape, device=mask.device).masked_fill(~mask, -1)
    # The luckiest stays whatever the rate: that is by chance the one to stay where all would go, and changes no other row.
    mask = mask & ((luck >= rate) | (luck == luck.amax(-1, keepdim=True)))
    return where_present(values, mask), mask


def where_present(values: Tensor, mask: Tensor) -> Tensor:
    """``[..., S, D]``, zero where ``mask [..., S]`` is False."""
    # Chosen, not multiplied: NaN times zero is NaN.
    return torch.where(mask.unsqueeze(-1), values, torch.zeros_like(values))


def mean_of_present(values: Tensor, mask: Tensor) -> Tensor:
    """``[..., S, D]`` -> ``[..., D]``, whatever stands where a stream is absent; zero where nothing is present."""
    return where_present(values, mask).sum(-2) / mask.sum(-1, keepdim=True).clamp(min=1)
