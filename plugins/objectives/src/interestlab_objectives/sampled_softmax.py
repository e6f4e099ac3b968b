"""Which item comes next, told apart from a sample of the catalogue."""

from interestlab_objectives.checks import positive
from interestlab_objectives.next_item import NextItem


class SampledSoftmax(NextItem):
    """Softmax cross-entropy of the next item against the items of the batch and others, drawn evenly at each step.

    For catalogues too large to encode each step, whose rare items would never meet in a batch. Each candidate's logit is
    corrected by how likely it is to be one (Bengio and Senécal 2008, "Adaptive importance sampling to accelerate training of
    a neural probabilistic language model"), so that the scores that are best for the full softmax
    are best here, though the value is less.

    Args:
        num_sampled: items drawn each step, for all users together.
        temperature: dot products are divided by it. 0.07 suits vectors of unit length; 1.0 suits plain dot products.
        chunk_elements: logits that exist at once.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(self, num_sampled: int = 1024, temperature: float = 0.07, chunk_elements: int = 2**22) -> None:
        super().__init__("batch", temperature, log_q=True, chunk_elements=chunk_elements)
        positive(num_sampled=num_sampled)
        self.num_sampled = num_sampled
