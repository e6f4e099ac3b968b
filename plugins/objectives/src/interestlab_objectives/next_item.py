"""Softmax cross-entropy of the next item."""

from typing import Literal

from torch import Tensor

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.argument_checks import require_positive
from interestlab_objectives.chunked_cross_entropy import chunked_cross_entropy


class NextItem(Objective):
    """Softmax cross-entropy of the next item, against the whole catalogue or the items of the batch.

    The loss is the mean over all positions that have a target. The softmax over the full catalogue is what makes plain
    sequence models strong (Klenitskiy and Vasilev 2023, arXiv 2309.07602); logits are computed and used chunk by chunk. The
    items of the batch are cheaper when the catalogue is too large to encode in each step.

    Args:
        candidates: ``catalogue`` compares the next item with every item; ``batch`` with the items of the batch only.
        temperature: divides the dot products. 0.07 suits unit vectors, 1.0 suits plain dot products.
        log_q: with ``batch``, subtract the log probability that an item is in the batch, so that popular items, which are in
            most batches, are not penalised more than in the full softmax (Yi et al. 2019, "Sampling-bias-corrected neural
            modeling for large corpus item recommendations"). Has no effect with ``catalogue``.
        chunk_elements: logits in memory at once. 4 Mi floats (16 MiB) are fastest on a CPU; a GPU can take more.

    Raises:
        ValueError: the temperature or the chunk size is not positive.
    """

    def __init__(
        self,
        candidates: Literal["catalogue", "batch"] = "catalogue",
        temperature: float = 0.07,
        log_q: bool = True,
        chunk_elements: int = 2**22,
    ) -> None:
        super().__init__()
        require_positive(temperature=temperature, chunk_elements=chunk_elements)
        self.candidates = candidates
        self.temperature = temperature
        self.log_q = log_q
        self.chunk_elements = chunk_elements

    def forward(self, step: Step) -> Tensor:
        candidates = step.candidates
        return chunked_cross_entropy(
            step.user_states[step.target_mask],
            candidates.embeddings,
            step.target_index,
            -candidates.log_inclusion if self.log_q and self.candidates == "batch" else None,
            scale=1 / self.temperature,
            chunk_elements=self.chunk_elements,
        )
