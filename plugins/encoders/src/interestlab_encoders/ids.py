"""Learnt embeddings of ids."""

from collections.abc import Mapping

from torch import Tensor, nn

from interestlab.batch import Inputs
from interestlab.contract import Encoder


class Id(Encoder):
    """A learnt vector for each distinct value of a field: an item, a brand, a category.

    The vectors of values that do not occur in training remain random, so use it together with a text encoder.

    Args:
        field: the column, ``item.COLUMN`` or ``event.COLUMN``; ``item.id`` is the item.
        dim: width of the vectors; None takes the width of the model.
    """

    embedding: nn.Embedding

    def __init__(self, field: str = "item.id", dim: int | None = None) -> None:
        super().__init__()
        self.fields = (field,)
        self.dim = dim

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
        nn.init.trunc_normal_(self.embedding.weight, std=0.02, a=-0.04, b=0.04)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.embedding(inputs.values)
