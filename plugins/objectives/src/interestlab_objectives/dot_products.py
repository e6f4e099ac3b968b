"""Dot products in full precision under autocast, because rounded logits bias a loss."""

import torch
from torch import Tensor


def dot_products(a: Tensor, b: Tensor) -> Tensor:
    """Compute all pairwise dot products in float32 or wider.

    Args:
        a: ``[..., M, D]``.
        b: ``[..., C, D]``, with leading axes that broadcast with those of ``a``.

    Returns:
        ``[..., M, C]``, float32, or float64 where an input is float64.
    """
    dtype = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    with torch.autocast(a.device.type, enabled=False):
        return a.to(dtype) @ b.to(dtype).mT
