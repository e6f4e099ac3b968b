"""An encoder with a frozen trunk: its constant part is computed once per value and cached on disk."""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from interestlab.batch import Inputs
from interestlab.contract import Encoder, FrozenTrunk

SEED = 0


class HashedWords(Encoder):
    """The mean of fixed random word vectors, transformed by a trained layer.

    Args:
        fields: texts to encode, one stream each.
        buckets: number of word vectors; words with the same hash share one.
        width: width of the word vectors and of the result.
    """

    def __init__(self, fields: Sequence[str] = ("item.title",), buckets: int = 4096, width: int = 32) -> None:
        super().__init__()
        self.fields, self.buckets, self.out_dim = list(fields), buckets, width
        self.preprocess_key = f"hashed-words-{buckets}"  # changes whenever the rows of preprocess change
        generator = torch.Generator().manual_seed(SEED)
        self.register_buffer("word_vectors", torch.randn(buckets, width, generator=generator), persistent=False)
        self.out = nn.Linear(width, width)

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        return [np.array([zlib.crc32(word.encode()) % self.buckets for word in text.split()], np.int32) for text in values]

    def frozen_trunk(self) -> FrozenTrunk:
        @torch.no_grad()
        def mean_word_vector(inputs: Inputs) -> Inputs:
            mask = inputs.mask[..., None]
            mean = (self.word_vectors[inputs.values.long()] * mask).sum(1) / mask.sum(1).clamp(min=1)
            lengths = torch.ones(len(mean), dtype=torch.int64, device=mean.device)
            return Inputs(mean[:, None], lengths)  # one row per value: [U, 1, width]

        # The key names everything that determines the rows: the same key must always mean the same numbers.
        key = f"hashed-words-{SEED}-{self.buckets}-{self.out_dim}-{self.word_vectors.dtype}"
        return FrozenTrunk(mean_word_vector, key, (self.out_dim,), rows_per_value=1)

    def forward_from_trunk(self, inputs: Inputs) -> Tensor:
        # Rows come from the cache in float32 or bfloat16, so they are cast to the dtype of the weights.
        return self.out(inputs.values[:, 0].to(self.out.weight.dtype))

    def forward(self, inputs: Inputs) -> Tensor:
        return self.forward_from_trunk(self.frozen_trunk().forward(inputs))
