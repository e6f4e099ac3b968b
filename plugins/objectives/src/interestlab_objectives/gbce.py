"""Binary cross-entropy that sampling does not make overconfident."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.checks import positive
from interestlab_objectives.logit import Logit
from interestlab_objectives.negatives import scores


class Gbce(Objective):
    """Generalised binary cross-entropy of gSASRec (Petrov and Macdonald 2023, arXiv 2308.07192).

    ``-(β log σ(s_wanted) + Σ log(1 - σ(s_drawn))) / (n + 1)``, with ``β = α (t (1 - 1/α) + 1/α)`` and α the share of the
    catalogue that is drawn. Where few negatives are drawn, plain binary cross-entropy believes everything likely; the power β
    of the positive takes that back. The scores have a learnt scale and bias, which the paper's plain dot products do without.

    Args:
        negatives: items drawn for each user and step.
        calibration: ``t`` of the paper: 0 is plain binary cross-entropy, 1 calibrates fully.
        candidates: ``catalogue`` draws from all items; ``batch`` from those of the batch, of which popular ones are more.
        temperature: 1 / scale of the scores at the start.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(
        self,
        negatives: int = 256,
        calibration: float = 0.75,
        candidates: Literal["catalogue", "batch"] = "catalogue",
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        positive(negatives=negatives)
        if not 0 <= calibration <= 1:
            raise ValueError(f"calibration must lie between 0 and 1, not {calibration}")
        self.negatives, self.calibration, self.candidates = negatives, calibration, candidates
        self.logit = Logit(temperature)

    def forward(self, step: Step) -> Tensor:
        found = scores(step, self.negatives)
        share = min(self.negatives / max(step.candidates.catalogue_size - 1, 1), 1.0)
        power = share * (self.calibration * (1 - 1 / share) + 1 / share)
        drawn = self.negatives * found.mean(F.softplus(self.logit(found.drawn)))
        losses = (power * F.softplus(-self.logit(found.wanted)) + drawn) / (self.negatives + 1)
        return losses.sum() / max(len(losses), 1)
