"""Items that a user did not choose, drawn by chance."""

from typing import NamedTuple

import torch
from torch import Tensor

from interestlab.step import Step
from interestlab_objectives.dots import dots


class Scores(NamedTuple):
    """Dot products of the M known positions of a step.

    Attributes:
        wanted: ``[M]`` with the target.
        drawn: ``[M, n]`` with the negatives of the user.
        counted: ``[M, n]`` bool, False where the negative is an item that the user has.
    """

    wanted: Tensor
    drawn: Tensor
    counted: Tensor

    def mean(self, losses: Tensor) -> Tensor:
        """``[M]`` mean of ``losses [M, n]`` over the negatives that count; 0 where none does."""
        return (losses * self.counted).sum(1) / self.counted.sum(1).clamp(min=1)


def scores(step: Step, n: int) -> Scores:
    """Scores of the targets and of ``n`` negatives a user, drawn evenly from the candidates, one set for all its positions.

    Memory: users × ``n`` × the larger of ``D`` and ``T``.
    """
    batch, candidates = step.batch, step.candidates
    drawn = torch.randint(len(candidates.items), (len(batch.users), n), device=step.user_states.device)
    own = torch.cat([batch.items.masked_fill(~batch.mask, -1), batch.targets], 1)
    counted = (candidates.items[drawn].unsqueeze(-1) != own.unsqueeze(1)).all(-1)
    wanted = dots(
        step.user_states[step.target_mask].unsqueeze(1), candidates.embeddings[step.target_index].unsqueeze(1)
    ).flatten()
    against = dots(step.user_states, candidates.embeddings[drawn])
    return Scores(wanted, against[step.target_mask], counted.unsqueeze(1).expand_as(against)[step.target_mask])
