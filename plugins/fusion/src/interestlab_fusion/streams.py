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
    # Chosen, not multiplied: NaN times zero is NaN.
    return torch.where(mask.unsqueeze(-1), values, torch.zeros_like(values)), mask


def mean_of_present(values: Tensor, mask: Tensor) -> Tensor:
    """``[..., S, D]`` (zero where absent) -> ``[..., D]``; zero where nothing is present."""
    return values.sum(-2) / mask.sum(-1, keepdim=True).clamp(min=1)
