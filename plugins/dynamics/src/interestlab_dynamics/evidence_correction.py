"""A learnt, bounded correction of the evidence in a momentum dynamics."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TINY = 1e-12


class EvidenceCorrection(nn.Module):
    """``s tanh(MLP([x, z, x·z]))``, where s is the root mean square of x and the MLP reads x and z in units of s.

    It is 0 at initialisation. No channel exceeds s, whatever the weights, and the result scales with x and z as ``x − z``
    does.

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
        """Compute the correction.

        Args:
            x: ``[B, D]`` events.
            z: ``[B, D]`` user states before these events.

        Returns:
            ``[B, D]``, with the dtype of ``z``.
        """
        x = x.to(z.dtype)
        # Squares overflow half precision, and the divisor must not underflow to 0.
        tiny = max(TINY, torch.finfo(z.dtype).tiny)
        x_wide = x.to(torch.promote_types(z.dtype, torch.float32))
        scale = (x_wide.square().mean(-1, keepdim=True) + tiny).sqrt().to(z.dtype)
        x, z = x / scale, z / scale
        return scale * torch.tanh(self.last(F.gelu(self.inner(torch.cat([x, z, x * z], -1))))).to(z.dtype)
