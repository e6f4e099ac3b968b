"""A calibrated probability of interest in an item."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.argument_checks import require_positive
from interestlab_objectives.negatives import mean_or_zero, score_with_negatives
from interestlab_objectives.scaled_logit import ScaledLogit


class Interest(Objective):
    """The probability that a user wants an item: ``σ(scale · score + bias)`` with learnt scale and bias.

    Trained with binary cross-entropy of the next item against uniformly sampled items, whose mean weighs as much as the
    target. A probability of ½ therefore means that the item is as likely to be the target as a randomly sampled item; it is
    not the share of users who will buy the item.

    Args:
        negatives: items sampled per user and step.
        candidates: ``catalogue`` samples from all items; ``batch`` samples from the items of the batch, which favours
            popular items.
        temperature: initial value of 1 / scale. 0.07 suits unit vectors, 1.0 suits plain dot products.

    Raises:
        ValueError: an argument is not positive.
    """

    def __init__(
        self, negatives: int = 256, candidates: Literal["catalogue", "batch"] = "catalogue", temperature: float = 0.07
    ) -> None:
        super().__init__()
        require_positive(negatives=negatives)
        self.negatives, self.candidates = negatives, candidates
        self.logit = ScaledLogit(temperature)

    def forward(self, step: Step) -> Tensor:
        scores = score_with_negatives(step, self.negatives)
        negative_loss = scores.mean_over_negatives(F.softplus(self.logit(scores.negative)))
        return mean_or_zero(F.softplus(-self.logit(scores.positive)) + negative_loss)

    def probability(self, score: Tensor) -> Tensor:
        return self.logit(score).sigmoid()
