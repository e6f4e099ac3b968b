"""Adversarial training on perturbed event embeddings."""

import torch
from torch import Tensor

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.argument_checks import require_positive


class Pgd(Objective):
    """An auxiliary term: the loss after projected gradient ascent (PGD) on the event embeddings.

    Perturbs the event embeddings of each history in the direction that increases the model's loss, ``steps`` times along
    the normalised gradient, and returns the loss there. The perturbation is projected onto a ball of radius ``epsilon`` times
    the norm of the history's embeddings.

    Source: Madry et al. 2018, arXiv 1706.06083.

    Args:
        epsilon: radius of the ball, relative to the norm of the history's embeddings.
        steps: gradient steps; each costs a forward and a backward pass of the dynamics.
        stride: length of a step, relative to the norm of the history's embeddings.

    Raises:
        ValueError: an argument is not positive.
    """

    auxiliary = True

    def __init__(self, epsilon: float = 0.1, steps: int = 3, stride: float = 0.05) -> None:
        super().__init__()
        require_positive(epsilon=epsilon, steps=steps, stride=stride)
        self.epsilon, self.steps, self.stride = epsilon, steps, stride

    def forward(self, step: Step) -> Tensor:
        x = step.event_embeddings.detach()
        history_norm = norm_per_history(x * step.batch.mask.unsqueeze(-1))
        perturbation = torch.zeros_like(x)
        for _ in range(self.steps):
            perturbed = (x + perturbation).requires_grad_()
            (gradient,) = torch.autograd.grad(step.with_event_embeddings(perturbed).loss, perturbed)
            perturbation = perturbation + self.stride * history_norm * gradient / norm_per_history(gradient).clamp(min=1e-12)
            scale = self.epsilon * history_norm / norm_per_history(perturbation).clamp(min=1e-12)
            perturbation = perturbation * scale.clamp(max=1.0)
        return step.with_event_embeddings(step.event_embeddings + perturbation).loss


class Fgm(Pgd):
    """An auxiliary term: the loss after one adversarial step on the event embeddings (fast gradient method, FGM).

    :class:`Pgd` with a single step of length ``epsilon``.

    Source: Miyato et al. 2017, arXiv 1605.07725.

    Args:
        epsilon: length of the step, relative to the norm of the history's embeddings.

    Raises:
        ValueError: epsilon is not positive.
    """

    def __init__(self, epsilon: float = 0.1) -> None:
        super().__init__(epsilon, steps=1, stride=epsilon)


def norm_per_history(x: Tensor) -> Tensor:
    """Compute the Frobenius norm of each history's embeddings.

    Args:
        x: ``[B, T, D]``.

    Returns:
        ``[B, 1, 1]``.
    """
    return x.flatten(1).norm(dim=1).view(-1, 1, 1)
