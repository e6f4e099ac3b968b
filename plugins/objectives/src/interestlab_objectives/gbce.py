"""Generalised binary cross-entropy, calibrated for negative sampling."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.argument_checks import require_positive
from interestlab_objectives.negatives import mean_or_zero, score_with_negatives
from interestlab_objectives.scaled_logit import ScaledLogit


class Gbce(Objective):
    """Generalised binary cross-entropy (gBCE, as in gSASRec), which corrects the overconfidence of negative sampling.

    The loss is ``-(β log σ(s_target) + Σ log(1 - σ(s_negative))) / (n + 1)`` with ``β = α (t (1 - 1/α) + 1/α)``, where α is
    the share of the catalogue that is sampled. With few negatives, plain binary cross-entropy overestimates every
    probability; the exponent β of the positive term corrects this. Unlike the paper's plain dot products, the scores have a
    learnt scale and bias.

    Source: Petrov and Macdonald 2023, arXiv 2308.07192.

    Args:
        negatives: items sampled per user and step, n.
        calibration: ``t`` of the paper, between 0 (plain binary cross-entropy) and 1 (full calibration).
        candidates: ``catalogue`` samples from all items; ``batch`` samples from the items of the batch, which favours
            popular items.
        temperature: initial value of 1 / scale of the scores.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        negatives: int = 256,
        calibration: float = 0.75,
        candidates: Literal["catalogue", "batch"] = "catalogue",
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        require_positive(negatives=negatives)
        if not 0 <= calibration <= 1:
            raise ValueError(f"calibration must be between 0 and 1, not {calibration}")
        self.negatives, self.calibration, self.candidates = negatives, calibration, candidates
        self.logit = ScaledLogit(temperature)

    def forward(self, step: Step) -> Tensor:
        scores = score_with_negatives(step, self.negatives)
        share = min(self.negatives / max(step.candidates.catalogue_size - 1, 1), 1.0)
        exponent = share * (self.calibration * (1 - 1 / share) + 1 / share)
        negative_loss = self.negatives * scores.mean_over_negatives(F.softplus(self.logit(scores.negative)))
        losses = (exponent * F.softplus(-self.logit(scores.positive)) + negative_loss) / (self.negatives + 1)
        return mean_or_zero(losses)
