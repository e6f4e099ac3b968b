"""The time since the previous event as a network input."""

import torch
from torch import Tensor


def log_days(dt: Tensor) -> Tensor:
    """Compute ``log(1 + dt)``, which distinguishes hours as well as years.

    Args:
        dt: days since the previous event, any shape; negative values, from a clock that was set back, count as 0.

    Returns:
        a tensor of the same shape.
    """
    return torch.log1p(dt.clamp(min=0))


def append_log_days(x: Tensor, dt: Tensor) -> Tensor:
    """Append :func:`log_days` to event embeddings as one more channel.

    Args:
        x: ``[..., D]`` event embeddings.
        dt: ``[...]`` days since the previous event.

    Returns:
        ``[..., D + 1]``, with the dtype of ``x``.
    """
    return torch.cat([x, log_days(dt).to(x.dtype).unsqueeze(-1)], -1)
