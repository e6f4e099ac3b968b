"""From a score to the logit of a probability."""

import math

import torch
from torch import Tensor, nn

from interestlab_objectives.checks import positive


class Logit(nn.Module):
    """``scale · score + bias``, both learnt, the scale kept positive (SigLIP, arXiv 2303.15343).

    Scores of unit vectors lie within ±1, too close to each other for a probability.

    Args:
        temperature: 1 / scale at the start.

    Raises:
        ValueError: the temperature is not positive.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        positive(temperature=temperature)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.bias = nn.Parameter(torch.tensor(0.0))

    def forward(self, score: Tensor) -> Tensor:
        return self.log_scale.exp() * score + self.bias
