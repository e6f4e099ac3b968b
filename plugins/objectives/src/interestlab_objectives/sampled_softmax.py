"""Sampled softmax."""

from interestlab_objectives.argument_checks import require_positive
from interestlab_objectives.next_item import NextItem


class SampledSoftmax(NextItem):
    """Softmax cross-entropy of the next item, against the items of the batch and uniformly sampled items.

    For catalogues that are too large to encode in each step, and whose rare items would never appear in a batch. The logit
    of each candidate is corrected by its log inclusion probability, so that the optimal scores are those of the full
    softmax, although the loss is lower.

    Source: Bengio and Senécal 2008, "Adaptive importance sampling to accelerate training of a neural probabilistic language
    model".

    Args:
        num_sampled: items sampled per step, shared by all users.
        temperature: divides the dot products. 0.07 suits unit vectors, 1.0 suits plain dot products.
        chunk_elements: logits in memory at once.

    Raises:
        ValueError: an argument is not positive.
    """

    def __init__(self, num_sampled: int = 1024, temperature: float = 0.07, chunk_elements: int = 2**22) -> None:
        super().__init__("batch", temperature, log_q=True, chunk_elements=chunk_elements)
        require_positive(num_sampled=num_sampled)
        self.num_sampled = num_sampled
