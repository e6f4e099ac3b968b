"""The time since the previous event, as a network reads it."""

import torch
from torch import Tensor


def log_days(dt: Tensor) -> Tensor:
    """``log(1 + dt)``: hours differ, and so do years. A negative dt, from a clock that was set back, counts as 0."""
    return torch.log1p(dt.clamp(min=0))


def with_days(x: Tensor, dt: Tensor) -> Tensor:
    """Events ``[..., D]`` with :func:`log_days` as a channel more."""
    return torch.cat([x, log_days(dt).to(x.dtype).unsqueeze(-1)], -1)
