"""Dot products that autocast does not round: rounded logits bias a loss."""

import torch
from torch import Tensor


def dots(a: Tensor, b: Tensor) -> Tensor:
    """``[..., M, D]`` and ``[..., C, D]`` -> ``[..., M, C]``, in float32 at least."""
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    with torch.autocast(a.device.type, enabled=False):
        return a.to(dtype) @ b.to(dtype).mT
