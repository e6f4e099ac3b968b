"""An encoder over indices: a learnt vector per value."""

from collections.abc import Mapping

from torch import Tensor, nn

from interestlab.batch import Inputs
from interestlab.contract import Encoder


class Category(Encoder):
    """A learnt vector for each distinct value of a field.

    Args:
        field: the column, ``item.COLUMN`` or ``event.COLUMN``.
        width: width of the vectors.
    """

    # preprocess_key stays None: the encoder receives the index of each value, not its text.

    def __init__(self, field: str = "item.category", width: int = 16) -> None:
        super().__init__()
        self.fields, self.out_dim = [field], width

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        # The number of distinct values is known only once the data is read.
        (field,) = self.fields
        if field not in cardinalities:
            raise ValueError(f"the data has no field '{field}'; it has {', '.join(sorted(cardinalities))}")
        self.vectors = nn.Embedding(cardinalities[field], self.out_dim)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.vectors(inputs.values)  # [U] int64 -> [U, out_dim]; inputs.lengths is None
