"""Bayesian personalised ranking."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.argument_checks import require_positive
from interestlab_objectives.negatives import mean_or_zero, score_with_negatives


class Bpr(Objective):
    """Bayesian personalised ranking (BPR): the target scores above each sampled item.

    The loss is ``-log σ((s_target - s_negative) / temperature)``.

    Source: Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback", arXiv 1205.2618.

    Args:
        negatives: items sampled per user and step; each is compared with the target.
        candidates: ``catalogue`` samples from all items; ``batch`` samples from the items of the batch, which favours
            popular items.
        temperature: divides differences of scores. 0.07 suits unit vectors, 1.0 suits plain dot products.

    Raises:
        ValueError: an argument is not positive.
    """

    def __init__(
        self, negatives: int = 256, candidates: Literal["catalogue", "batch"] = "catalogue", temperature: float = 0.07
    ) -> None:
        super().__init__()
        require_positive(negatives=negatives, temperature=temperature)
        self.negatives, self.candidates, self.temperature = negatives, candidates, temperature

    def forward(self, step: Step) -> Tensor:
        scores = score_with_negatives(step, self.negatives)
        differences = (scores.negative - scores.positive.unsqueeze(1)) / self.temperature
        return mean_or_zero(scores.mean_over_negatives(F.softplus(differences)))
