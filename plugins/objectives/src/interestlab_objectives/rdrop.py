"""Two readings of one history must agree."""

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.checks import positive
from interestlab_objectives.dots import dots


class Rdrop(Objective):
    """R-Drop (Liang et al. 2021, arXiv 2106.14448): the divergence between what two dropouts of the dynamics expect.

    ``½ (KL(p ‖ q) + KL(q ‖ p))`` of the softmax over the candidates. Zero for a dynamics without dropout. The paper's
    second cross-entropy is left out.

    Args:
        temperature: dot products are divided by it.
        positions: how many positions of a step, drawn by chance, are compared: their logits exist at once, twice.

    Raises:
        ValueError: a number is out of its range.
    """

    auxiliary = True

    def __init__(self, temperature: float = 0.07, positions: int = 256) -> None:
        super().__init__()
        positive(positions=positions, temperature=temperature)
        self.temperature, self.positions = temperature, positions

    def forward(self, step: Step) -> Tensor:
        known = step.target_mask.nonzero()
        chosen = known[torch.randperm(len(known), device=known.device)[: self.positions]].unbind(1)
        p, q = (
            F.log_softmax(dots(z[chosen], step.candidates.embeddings) / self.temperature, -1)
            for z in (step.user_states, step.with_event_embeddings(step.event_embeddings).user_states)
        )
        # KL(p‖q) + KL(q‖p) = Σ (p - q)(log p - log q)
        return ((p.exp() - q.exp()) * (p - q)).sum() / (2 * max(len(p), 1))
