"""Which item comes next, told apart from the whole catalogue or from the items of the batch."""

from typing import Literal

from torch import Tensor

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.checks import positive
from interestlab_objectives.chunked_cross_entropy import chunked_cross_entropy


class NextItem(Objective):
    """Softmax cross-entropy of the next item, averaged over every position that has one.

    The full softmax over the catalogue is what makes plain sequence models strong (Klenitskiy and Vasilev 2023, arXiv
    2309.07602); its logits are made and used chunk by chunk. The candidates of a batch are cheaper where the catalogue
    is too large to encode each step.

    Args:
        candidates: ``catalogue`` tells the next item from every item; ``batch`` from the items of the batch alone.
        temperature: dot products are divided by it. 0.07 suits vectors of unit length; 1.0 suits plain dot products.
        log_q: for ``batch``: subtract the log of the chance that an item is in the batch, so that popular items, which
            are in most batches, are not pushed away more than in the full softmax (Yi et al. 2019, "Sampling-bias-
            corrected neural modeling for large corpus item recommendations"). The catalogue needs no correction.
        chunk_elements: logits that exist at once; 4 Mi floats (16 MiB) are fastest on a CPU, a GPU can take more.

    Raises:
        ValueError: the temperature or the chunk is not positive.
    """

    def __init__(
        self,
        candidates: Literal["catalogue", "batch"] = "catalogue",
        temperature: float = 0.07,
        log_q: bool = True,
        chunk_elements: int = 2**22,
    ) -> None:
        super().__init__()
        positive(temperature=temperature, chunk_elements=chunk_elements)
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
