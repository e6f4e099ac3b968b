"""Which of two items the user wants more."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.checks import positive
from interestlab_objectives.negatives import scores


class Bpr(Objective):
    """Bayesian personalised ranking: ``-log σ((s_wanted - s_drawn) / temperature)`` (Rendle et al. 2009, arXiv 1205.2618).

    Args:
        negatives: items drawn for each user and step, each compared with the target.
        candidates: ``catalogue`` draws from all items; ``batch`` from those of the batch, of which popular ones are more.
        temperature: differences of scores are divided by it. 0.07 suits vectors of unit length; 1.0 plain dot products.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(
        self, negatives: int = 256, candidates: Literal["catalogue", "batch"] = "catalogue", temperature: float = 0.07
    ) -> None:
        super().__init__()
        positive(negatives=negatives, temperature=temperature)
        self.negatives, self.candidates, self.temperature = negatives, candidates, temperature

    def forward(self, step: Step) -> Tensor:
        found = scores(step, self.negatives)
        losses = found.mean(F.softplus((found.drawn - found.wanted.unsqueeze(1)) / self.temperature))
        return losses.sum() / max(len(losses), 1)
