"""A learnt affine map from a score to a logit."""

import math

import torch
from torch import Tensor, nn

from interestlab_objectives.argument_checks import require_positive


class ScaledLogit(nn.Module):
    """``scale · score + bias`` with a learnt positive scale and a learnt bias (SigLIP, arXiv 2303.15343).

    Dot products of unit vectors lie in [-1, 1], which is too narrow a range for logits.

    Args:
        temperature: initial value of 1 / scale.

    Raises:
        ValueError: the temperature is not positive.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        require_positive(temperature=temperature)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, score: Tensor) -> Tensor:
        """Map scores to logits.

        Args:
            score: scores of any shape.

        Returns:
            logits of the same shape.
        """
        return self.log_scale.exp() * score + self.bias
