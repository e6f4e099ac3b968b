"""Uniform negative sampling."""

from typing import NamedTuple

import torch
from torch import Tensor

from interestlab.step import Step
from interestlab_objectives.dot_products import dot_products


class SampledScores(NamedTuple):
    """Scores of the targets and of sampled negatives at the M positions of a step that have a target.

    Attributes:
        positive: ``[M]`` score of the target.
        negative: ``[M, n]`` scores of the n negatives of the user.
        valid: ``[M, n]`` bool, False where the sampled item is one of the user's own items, which is no negative.
    """

    positive: Tensor
    negative: Tensor
    valid: Tensor

    def mean_over_negatives(self, losses: Tensor) -> Tensor:
        """Average the losses of each position over its valid negatives.

        Args:
            losses: ``[M, n]`` loss of each negative.

        Returns:
            ``[M]``; 0 where a position has no valid negative.
        """
        return (losses * self.valid).sum(1) / self.valid.sum(1).clamp(min=1)


def score_with_negatives(step: Step, num_negatives: int) -> SampledScores:
    """Score the targets and negatives sampled uniformly from the candidates.

    All positions of a user share one set of negatives. Memory is proportional to
    ``users · num_negatives · max(D, T)``.

    Args:
        step: the training step.
        num_negatives: negatives per user, n.

    Returns:
        dot products of the user states with the targets and with the negatives.
    """
    batch, candidates = step.batch, step.candidates
    sampled = torch.randint(len(candidates.items), (len(batch.users), num_negatives), device=step.user_states.device)
    own_items = torch.cat([batch.items.masked_fill(~batch.mask, -1), batch.targets], 1)
    valid = (candidates.items[sampled].unsqueeze(-1) != own_items.unsqueeze(1)).all(-1)
    positive = dot_products(
        step.user_states[step.target_mask].unsqueeze(1), candidates.embeddings[step.target_index].unsqueeze(1)
    ).flatten()
    negative = dot_products(step.user_states, candidates.embeddings[sampled])
    return SampledScores(positive, negative[step.target_mask], valid.unsqueeze(1).expand_as(negative)[step.target_mask])


def mean_or_zero(losses: Tensor) -> Tensor:
    """Average a loss over positions, giving 0 for a step without targets.

    Args:
        losses: ``[M]``, one per position.

    Returns:
        scalar.
    """
    return losses.sum() / max(len(losses), 1)
