"""What a network adds to the evidence."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TINY = 1e-12


class Correction(nn.Module):
    """``s tanh(MLP([x, z, x·z]))``, with x and z in units of s, the root mean square of x; at first 0.

    No channel of it is larger than s, whatever the weights; and it scales with x and z as ``x − z`` does.

    Args:
        dim: width of the model.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.inner = nn.Linear(3 * dim, dim)
        self.last = nn.Linear(dim, dim)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """``[B, D]`` for the events and the interests that they meet."""
        x = x.to(z.dtype)
        # Squares leave the range of a half; and what is divided by its root must not.
        tiny = max(TINY, torch.finfo(z.dtype).tiny)
        wide = x.to(torch.promote_types(z.dtype, torch.float32))
        scale = (wide.square().mean(-1, keepdim=True) + tiny).sqrt().to(z.dtype)
        x, z = x / scale, z / scale
        return scale * torch.tanh(self.last(F.gelu(self.inner(torch.cat([x, z, x * z], -1))))).to(z.dtype)
