"""Consistency under dropout (R-Drop)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.argument_checks import require_positive
from interestlab_objectives.dot_products import dot_products


class Rdrop(Objective):
    """An auxiliary term: the predictions of two dropout passes over one history agree (R-Drop).

    The loss is the symmetric divergence ``½ (KL(p ‖ q) + KL(q ‖ p))`` between the two softmax distributions over the
    candidates. It is zero for a dynamics without dropout. Unlike the paper, it does not add the cross-entropy of the second
    pass.

    Source: Liang et al. 2021, arXiv 2106.14448.

    Args:
        temperature: divides the dot products.
        positions: number of randomly sampled positions of a step to compare; two sets of their logits are in memory at once.

    Raises:
        ValueError: an argument is not positive.
    """

    auxiliary = True

    def __init__(self, temperature: float = 0.07, positions: int = 256) -> None:
        super().__init__()
        require_positive(positions=positions, temperature=temperature)
        self.temperature, self.positions = temperature, positions

    def forward(self, step: Step) -> Tensor:
        targets = step.target_mask.nonzero()
        sampled = targets[torch.randperm(len(targets), device=targets.device)[: self.positions]].unbind(1)
        log_p, log_q = (
            F.log_softmax(dot_products(z[sampled], step.candidates.embeddings) / self.temperature, -1)
            for z in (step.user_states, step.with_event_embeddings(step.event_embeddings).user_states)
        )
        # KL(p‖q) + KL(q‖p) = Σ (p - q)(log p - log q)
        return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum() / (2 * max(len(log_p), 1))
