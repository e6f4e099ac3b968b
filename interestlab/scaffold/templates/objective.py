"""An objective: the next item against the other items of the batch."""

from interestlab.contract import Objective
from interestlab.step import Step
from torch import Tensor
from torch.nn import functional as F


class MyPlugin(Objective):
    """Softmax cross-entropy of the next item against the items of the batch.

    Args:
        temperature: divides the scores.

    Raises:
        ValueError: the temperature is not positive.
    """

    candidates = "batch"

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, not {temperature}")
        self.temperature = temperature

    def forward(self, step: Step) -> Tensor:
        scores = step.user_states[step.target_mask] @ step.candidates.embeddings.T / self.temperature
        return F.cross_entropy(scores, step.target_index)
