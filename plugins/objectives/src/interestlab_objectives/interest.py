"""Whether this user wants this item."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.checks import positive
from interestlab_objectives.logit import Logit
from interestlab_objectives.negatives import scores


class Interest(Objective):
    """The probability that this user wants this item: ``σ(scale · score + bias)``, scale and bias learnt.

    Binary cross-entropy of the next item against items drawn evenly, which together weigh as much as the one. So ½ says that
    the item is as likely to be what the user wants as an item drawn by chance is; it is not the share of users who will buy.

    Args:
        negatives: items drawn for each user and step.
        candidates: ``catalogue`` draws from all items; ``batch`` from those of the batch, of which popular ones are more.
        temperature: 1 / scale at the start. 0.07 suits vectors of unit length; 1.0 suits plain dot products.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(
        self, negatives: int = 256, candidates: Literal["catalogue", "batch"] = "catalogue", temperature: float = 0.07
    ) -> None:
        super().__init__()
        positive(negatives=negatives)
        self.negatives, self.candidates = negatives, candidates
        self.logit = Logit(temperature)

    def forward(self, step: Step) -> Tensor:
        found = scores(step, self.negatives)
        losses = F.softplus(-self.logit(found.wanted)) + found.mean(F.softplus(self.logit(found.drawn)))
        return losses.sum() / max(len(losses), 1)

    def probability(self, score: Tensor) -> Tensor:
        return self.logit(score).sigmoid()
