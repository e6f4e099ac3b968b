"""An encoder of texts: the mean of the vectors of their trigrams."""

import zlib
from collections.abc import Sequence

import numpy as np
from interestlab.batch import Inputs
from interestlab.contract import Encoder
from torch import Tensor, nn


class MyPlugin(Encoder):
    """The mean of learnt vectors of the trigrams of a text, which are told apart by their hash.

    Args:
        fields: texts to read, one stream each.
        buckets: number of vectors; two trigrams of one bucket share a vector.
        width: of the vectors.
        max_length: most characters read of a text; the rest is cut off.
    """

    def __init__(
        self, fields: Sequence[str] = ("item.title",), buckets: int = 4096, width: int = 32, max_length: int = 200
    ) -> None:
        super().__init__()
        self.fields, self.buckets, self.out_dim, self.max_length = list(fields), buckets, width, max_length
        self.preprocess_key = f"my_plugin-{buckets}-{max_length}"  # whatever changes the rows of preprocess is named here
        self.vectors = nn.Embedding(buckets, width)

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        return [np.array([self.bucket(trigram) for trigram in self.trigrams(text)], np.int32) for text in values]

    def trigrams(self, text: str) -> list[str]:
        """Each three characters in a row; the text begins with < and ends with >."""
        marked = f"<{text[: self.max_length].lower()}>"
        return [marked[i : i + 3] for i in range(len(marked) - 2)]

    def bucket(self, trigram: str) -> int:
        """The vector of a trigram."""
        return zlib.crc32(trigram.encode()) % self.buckets  # Python's own hash changes from run to run

    def forward(self, inputs: Inputs) -> Tensor:
        real = inputs.mask[..., None]
        # An empty text has no trigram and so no mean: its vector is zero.
        return (self.vectors(inputs.values) * real).sum(1) / real.sum(1).clamp(min=1)
