"""Learnt embeddings of ids."""

from collections.abc import Mapping

from torch import Tensor, nn

from interestlab.batch import Inputs
from interestlab.contract import Encoder


class Id(Encoder):
    """A learnt vector for each distinct value of a field: an item, a brand, a category.

    The vectors of values that do not occur in training mean nothing, so use it together with a text encoder.

    Args:
        field: the column, ``item.COLUMN`` or ``event.COLUMN``; ``item.id`` is the item.
        dim: width of the vectors; None takes the width of the model.
        std: standard deviation of the initial vectors; 0 where a head adds them to other streams, as ``delta`` does.
        min_count: a value whose items have fewer events in training counts as missing, so that other streams represent the
            item. With 1, a loss over the whole catalogue no longer pushes items without any event away from all users.

    Raises:
        ValueError: ``std`` or ``min_count`` is negative.
    """

    embedding: nn.Embedding

    def __init__(self, field: str = "item.id", dim: int | None = None, std: float = 0.02, min_count: int = 0) -> None:
        super().__init__()
        if min(std, min_count) < 0:
            raise ValueError(f"std={std} and min_count={min_count} must not be negative")
        self.fields = (field,)
        self.dim, self.std, self.min_count = dim, std, min_count

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        """Create the embedding table.

        Args:
            cardinalities: number of distinct values of each field.
            dim: width of the model.

        Raises:
            ValueError: the data has no such field.
        """
        (field,) = self.fields
        if field not in cardinalities:
            raise ValueError(f"the data has no field '{field}'; it has {', '.join(sorted(cardinalities)) or 'none'}")
        self.out_dim = self.dim or dim
        self.embedding = nn.Embedding(cardinalities[field], self.out_dim)
        # 0.02 as in BERT, GPT-2 and SASRec: with N(0, 1), dot products of two items would start at the scale √D.
        nn.init.zeros_(self.embedding.weight)
        if self.std:
            nn.init.trunc_normal_(self.embedding.weight, std=self.std, a=-2 * self.std, b=2 * self.std)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.embedding(inputs.values)
