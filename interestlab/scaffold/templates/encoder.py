"""A text encoder: the mean of learnt trigram vectors."""

import zlib
from collections.abc import Sequence

import numpy as np
from interestlab.batch import Inputs
from interestlab.contract import Encoder
from torch import Tensor, nn


class MyPlugin(Encoder):
    """The mean of learnt vectors of the trigrams of a text, selected by their hash.

    Args:
        fields: texts to encode, one stream each.
        buckets: number of vectors; trigrams with the same hash share one.
        width: width of the vectors.
        max_length: maximum number of characters per text; longer texts are truncated.
    """

    def __init__(
        self, fields: Sequence[str] = ("item.title",), buckets: int = 4096, width: int = 32, max_length: int = 200
    ) -> None:
        super().__init__()
        self.fields, self.buckets, self.out_dim, self.max_length = list(fields), buckets, width, max_length
        self.preprocess_key = f"my_plugin-{buckets}-{max_length}"  # changes whenever the rows change
        self.vectors = nn.Embedding(buckets, width)

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        return [np.array([self.bucket(trigram) for trigram in self.trigrams(text)], np.int32) for text in values]

    def trigrams(self, text: str) -> list[str]:
        """Return all sequences of three characters, with < and > around the text."""
        marked = f"<{text[: self.max_length].lower()}>"
        return [marked[i : i + 3] for i in range(len(marked) - 2)]

    def bucket(self, trigram: str) -> int:
        """Return the index of a trigram's vector."""
        return zlib.crc32(trigram.encode()) % self.buckets  # Python's hash() differs between runs

    def forward(self, inputs: Inputs) -> Tensor:
        mask = inputs.mask[..., None]
        # The vector of a text without trigrams is zero.
        return (self.vectors(inputs.values) * mask).sum(1) / mask.sum(1).clamp(min=1)
