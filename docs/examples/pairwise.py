"""An objective: the next item against one other item of the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step


class Pairwise(Objective):
    """Bayesian personalised ranking (Rendle et al. 2009, arXiv 1205.2618): the target should score above another item.

    Args:
        temperature: scores are divided by it.
    """

    candidates = "batch"

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, step: Step) -> Tensor:
        vectors, wanted = step.candidates.embeddings, step.target_index
        # Any other candidate: 1 to C - 1 places around the circle never land on the target.
        places = torch.randint(1, max(2, len(vectors)), wanted.shape, device=wanted.device)
        other = (wanted + places) % len(vectors)
        gap = (step.user_states[step.target_mask] * (vectors[wanted] - vectors[other])).sum(-1)
        return F.softplus(-gap / self.temperature).mean()
