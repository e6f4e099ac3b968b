"""The inverse of softplus."""

import torch
from torch import Tensor


def inverse_softplus(value: Tensor) -> Tensor:
    """Return the raw values whose softplus is ``value``, for parameters that must stay positive.

    Args:
        value: positive, of any shape.
    """
    return value + torch.log(-torch.expm1(-value))
