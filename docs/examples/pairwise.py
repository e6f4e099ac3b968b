"""An objective: the next item against one other item of the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step


class Pairwise(Objective):
    """Bayesian personalised ranking (Rendle et al. 2009, arXiv 1205.2618): the target should score above another item.

    Args:
        temperature: divides the scores.
    """

    candidates = "batch"

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, step: Step) -> Tensor:
        vectors, targets = step.candidates.embeddings, step.target_index
        # A random offset from 1 to C - 1, modulo C, never gives the target.
        offsets = torch.randint(1, max(2, len(vectors)), targets.shape, device=targets.device)
        others = (targets + offsets) % len(vectors)
        difference = (step.user_states[step.target_mask] * (vectors[targets] - vectors[others])).sum(-1)
        return F.softplus(-difference / self.temperature).mean()
