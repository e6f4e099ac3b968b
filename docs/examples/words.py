"""An encoder of texts: the mean of learnt word vectors."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from interestlab.batch import Inputs
from interestlab.contract import Encoder


class Words(Encoder):
    """The mean of learnt word vectors, selected by the hash of the word.

    Args:
        fields: texts to encode, one stream each.
        buckets: number of vectors; words with the same hash share one.
        width: width of the vectors.
    """

    def __init__(self, fields: Sequence[str] = ("item.title",), buckets: int = 4096, width: int = 32) -> None:
        super().__init__()
        self.fields, self.buckets, self.out_dim = list(fields), buckets, width
        self.preprocess_key = f"words-{buckets}"  # changes whenever the rows of preprocess change
        self.vectors = nn.Embedding(buckets, width)

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        return [np.array([self.bucket(word) for word in words(text)], np.int32) for text in values]

    def bucket(self, word: str) -> int:
        return zlib.crc32(word.encode()) % self.buckets  # Python's hash() differs between runs

    def forward(self, inputs: Inputs) -> Tensor:
        mask = inputs.mask[..., None]
        # The vector of a text without words is zero.
        return (self.vectors(inputs.values) * mask).sum(1) / mask.sum(1).clamp(min=1)


def words(text: str) -> list[str]:
    """Split at whitespace and punctuation; each Chinese character is a word."""
    return re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+", text.lower())
