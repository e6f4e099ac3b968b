"""How encoders run in one process. :mod:`interestlab.distributed.parallelize` replaces it for several processes."""

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn


class EncoderExecution:
    """Run encoders in this process alone."""

    def encode_shared(self, codes: np.ndarray, encode: Callable[[np.ndarray], Tensor]) -> Tensor:
        """Encode values that every process of a job needs.

        Args:
            codes: ``[U]`` codes of the values, the same in all processes.
            encode: maps codes ``[n]`` to embeddings ``[n, D]``.

        Returns:
            ``[U, D]`` embeddings of all values.
        """
        return encode(codes)

    def union(self, codes: np.ndarray) -> np.ndarray:
        """Return the distinct values that any process of a job needs.

        Args:
            codes: ``[U]`` int64 codes of the values of this process, ascending and distinct.

        Returns:
            ``[V]`` ascending, the same in all processes.
        """
        return codes

    def count_chunks(self, encoder: nn.Module, chunks: int) -> int:
        """Return how many chunks to run, so that all processes run as many.

        Args:
            encoder: the encoder that reads the chunks.
            chunks: number of chunks of this process.
        """
        return chunks

    def check_can_encode_alone(self, encoder: nn.Module) -> None:
        """Check that this process can run an encoder while others do not.

        Args:
            encoder: the encoder.

        Raises:
            TrainingError: the process holds only a shard of the weights.
        """


LOCAL = EncoderExecution()
"""The execution of a job of one process."""
