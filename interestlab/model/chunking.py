"""Split the values of a field into chunks of similar length."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from interestlab.data.ragged import RaggedArray
from interestlab.data.sampler import bucket_by_length
from interestlab.utils.argument_checks import require_at_least


@dataclass(frozen=True)
class EncoderChunking:
    """How many values an encoder reads in one call. Embeddings do not depend on it.

    Args:
        max_tokens: maximum number of tokens per chunk, padding included.
        chunks_with_activations: chunks per training step whose activations stay in memory. The activations of further
            chunks are recomputed in the backward pass, one chunk at a time. A chunk of 4,096 tokens of MiniLM-L6 takes about
            1.1 GB.
    """

    max_tokens: int = 4096
    chunks_with_activations: int = 4

    def __post_init__(self) -> None:
        require_at_least(1, max_tokens=self.max_tokens, chunks_with_activations=self.chunks_with_activations)


def split_into_chunks(codes: np.ndarray, rows: RaggedArray | None, max_tokens: int) -> Iterator[np.ndarray]:
    """Split values into chunks of similar length.

    Args:
        codes: ``[U]`` int64 codes of the values.
        rows: the preprocessed values, whose lengths count; None if each value counts as one token.
        max_tokens: maximum number of tokens per chunk, padding included; a longer value forms a chunk of its own.

    Yields:
        ``[n]`` codes of one chunk, shortest values first.
    """
    if rows is None:
        yield from (codes[first : first + max_tokens] for first in range(0, len(codes), max_tokens))
        return
    lengths = rows.lengths[codes]
    for bucket in bucket_by_length(np.maximum(1, lengths), max_tokens, tie_break=lengths):
        yield codes[bucket]
