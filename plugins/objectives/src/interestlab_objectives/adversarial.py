"""Histories moved a little to where the model is worst."""

import torch
from torch import Tensor

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.checks import positive


class Pgd(Objective):
    """Projected gradient descent (Madry et al. 2018, arXiv 1706.06083) on the vectors of the events.

    The model's loss once more, over each history moved against it: ``steps`` times along the normalised gradient, never
    further than ``epsilon`` times the length of the history's vectors taken as one.

    Args:
        epsilon: how far, as a share of that length.
        steps: how many moves; each costs one pass of the dynamics forward and backward.
        stride: length of a move, as a share of that length.

    Raises:
        ValueError: a number is out of its range.
    """

    auxiliary = True

    def __init__(self, epsilon: float = 0.1, steps: int = 3, stride: float = 0.05) -> None:
        super().__init__()
        positive(epsilon=epsilon, steps=steps, stride=stride)
        self.epsilon, self.steps, self.stride = epsilon, steps, stride

    def forward(self, step: Step) -> Tensor:
        x = step.event_embeddings.detach()
        length = norm(x * step.batch.mask.unsqueeze(-1))
        move = torch.zeros_like(x)
        for _ in range(self.steps):
            moved = (x + move).requires_grad_()
            (gradient,) = torch.autograd.grad(step.with_event_embeddings(moved).loss, moved)
            move = move + self.stride * length * gradient / norm(gradient).clamp(min=1e-12)
            move = move * (self.epsilon * length / norm(move).clamp(min=1e-12)).clamp(max=1.0)
        return step.with_event_embeddings(step.event_embeddings + move).loss


class Fgm(Pgd):
    """The fast gradient method (Miyato et al. 2017, arXiv 1605.07725): :class:`Pgd` of one move, as far as it may.

    Args:
        epsilon: how far, as a share of the length of the history's vectors taken as one.

    Raises:
        ValueError: epsilon is not positive.
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        super().__init__(epsilon, steps=1, stride=epsilon)


def norm(x: Tensor) -> Tensor:
    """``[B, 1, 1]`` length of each history's vectors ``[B, T, D]`` taken as one."""
    return x.flatten(1).norm(dim=1).view(-1, 1, 1)
