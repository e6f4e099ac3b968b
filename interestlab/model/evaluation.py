"""What an evaluation holds still: the catalogue encoded once, and the weights that follow users, in float64.

Encoding in one fixed order and following users in float64 make a rank independent of how users were batched: float32
rounding, which differs with the shape of a batch, would move one in some thousand ranks.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class Evaluation:
    """The state of one evaluation; empty outside of one.

    Attributes:
        values: ``[size, dim]`` vectors of every distinct value, by stream.
        items: ``[N, dim]`` float64 what each item is.
        catalogue: ``[N, dim]`` float64 the same, as it is compared.
        weights: of the parts that follow a user, in float64, by part.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    items: Tensor = field(default_factory=lambda: torch.empty(0))
    catalogue: Tensor = field(default_factory=lambda: torch.empty(0))
    weights: dict[str, dict[str, Tensor]] = field(default_factory=dict)


def to_float64(x: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return x if x.device.type == "mps" or not x.is_floating_point() else x.double()


def float64_weights(part: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters and buffers of a part, as :func:`torch.func.functional_call` takes them."""
    return {name: to_float64(t.detach().clone()) for name, t in (*part.named_parameters(), *part.named_buffers())}
