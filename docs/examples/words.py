"""An encoder of texts: the mean of the vectors of their words."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from interestlab.batch import Inputs
from interestlab.contract import Encoder


class Words(Encoder):
    """The mean of learnt word vectors; words are told apart by their hash.

    Args:
        fields: texts to read, one stream each.
        buckets: number of vectors; two words of one bucket share a vector.
        width: of the vectors.
    """

    def __init__(self, fields: Sequence[str] = ("item.title",), buckets: int = 4096, width: int = 32) -> None:
        super().__init__()
        self.fields, self.buckets, self.out_dim = list(fields), buckets, width
        self.preprocess_key = f"words-{buckets}"  # whatever changes the rows of preprocess is named here
        self.vectors = nn.Embedding(buckets, width)

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        return [np.array([self.bucket(word) for word in words(text)], np.int32) for text in values]

    def bucket(self, word: str) -> int:
        return zlib.crc32(word.encode()) % self.buckets  # Python's own hash changes from run to run

    def forward(self, inputs: Inputs) -> Tensor:
        real = inputs.mask[..., None]
        # A text without words has no mean: its vector is zero.
        return (self.vectors(inputs.values) * real).sum(1) / real.sum(1).clamp(min=1)


def words(text: str) -> list[str]:
    """Words between blanks and signs; each Chinese character is a word."""
    return re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+", text.lower())
