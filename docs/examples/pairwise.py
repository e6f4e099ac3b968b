"""An objective: the next item against one other item of the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.batch import Batch, Candidates
from interestlab.contract import Objective


class Pairwise(Objective):
    """Bayesian personalised ranking (Rendle et al. 2009, arXiv 1205.2618): the target should score above another item.

    Args:
        temperature: scores are divided by it.
    """

    candidates = "batch"

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, z: Tensor, candidates: Candidates, batch: Batch) -> Tensor:
        known = batch.targets >= 0
        wanted = candidates.positions(batch.targets[known])
        # Any other candidate: a step of 1 to C - 1 around the circle never lands on the target.
        steps = torch.randint(1, max(2, len(candidates.items)), wanted.shape, device=wanted.device)
        other = (wanted + steps) % len(candidates.items)
        gap = (z[known] * (candidates.vectors[wanted] - candidates.vectors[other])).sum(-1)
        return F.softplus(-gap / self.temperature).mean()
