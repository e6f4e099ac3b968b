"""Encode the distinct values of one field, each once per step, in chunks; frozen layers are read from disk."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab.data.fields import FieldValues
from interestlab.data.ragged import RaggedArray
from interestlab.model.chunking import EncoderChunking, split_into_chunks
from interestlab.model.disk_cache import (
    cached_trunk_rows,
    cached_vectors,
    cached_whitened_vectors,
    is_frozen,
    to_device,
    vectors_key,
)
from interestlab.model.evaluation_mode import evaluation_mode
from interestlab.model.execution import LOCAL, EncoderExecution
from interestlab.model.whitening import Whitening

LOOKUP_TOKENS = 1 << 20
"""Tokens per call of an encoder that only reads a table."""


class EmbeddingCache:
    """Embeddings of the values of one field by one encoder.

    Args:
        encoder: the encoder.
        feature: the field.
        chunking: how many values are encoded in one call.
        use_disk: whether the output of frozen layers is stored on disk and read from there.
    """

    def __init__(self, encoder: Encoder, feature: FieldValues, chunking: EncoderChunking, *, use_disk: bool = True) -> None:
        self.encoder, self.feature, self.chunking, self.use_disk = encoder, feature, chunking, use_disk
        self.execution: EncoderExecution = LOCAL
        self._vectors: np.ndarray | None = None
        self._whitened: np.ndarray | None = None
        self._trunk_rows: dict[str, RaggedArray] = {}

    @property
    def is_costly(self) -> bool:
        """Whether encoding a value costs more than sending its vector: not for a table lookup or a cached vector."""
        return self.feature.rows is not None and not is_frozen(self.encoder)

    def __call__(self, codes: np.ndarray) -> Tensor:
        """Embed distinct values, each encoded once.

        Args:
            codes: ``[U]`` int64 codes of the values, ascending and distinct.

        Returns:
            ``[U, out_dim]`` on the encoder's device.

        Raises:
            DataError: the disk is too small for the output of frozen layers.
            TrainingError: frozen layers have to be computed, and this process holds only a shard of the weights.
        """
        if self.use_disk and is_frozen(self.encoder):
            return torch.from_numpy(self.frozen_vectors()[codes]).to(self.encoder.device)
        if rows := self.trunk_rows():
            return self._encode_in_chunks(self.encoder.forward_from_trunk, rows, rows, codes)
        return self._encode_in_chunks(self.encoder, self.feature, self.feature.rows, codes)

    def fill(self) -> None:
        """Compute and store the output of frozen layers for all values, so that no training step has to.

        Raises:
            DataError: the disk is too small.
        """
        if is_frozen(self.encoder):
            self.frozen_vectors()
        else:
            self.trunk_rows()

    def frozen_vectors(self) -> np.ndarray:
        """Return ``[size, out_dim]`` float32 embeddings of all values by an encoder without trainable parameters."""
        if self._vectors is None:
            self._vectors = cached_vectors(self.encoder, self.feature, self.chunking, self.execution)
        return self._vectors

    @torch.no_grad()
    def all_vectors(self) -> np.ndarray:
        """Return ``[n, out_dim]`` float32 embeddings of all values that are not empty, without dropout."""
        rows = self.feature.rows
        codes = np.arange(self.feature.size) if rows is None else np.flatnonzero(rows.lengths)
        if self.use_disk and is_frozen(self.encoder):
            vectors = self.frozen_vectors()
            return vectors if len(codes) == len(vectors) else vectors[codes]
        with evaluation_mode(self.encoder), torch.autocast(self.encoder.device.type, enabled=False):
            return self(codes).float().cpu().numpy()

    def whitened(self, whitening: Whitening, codes: np.ndarray) -> Tensor:
        """Embed distinct values and whiten the embeddings. Whitened embeddings that cannot change are read from disk.

        Args:
            whitening: the whitening of this encoder, fitted; always the same.
            codes: ``[U]`` int64 codes of the values, ascending and distinct.

        Returns:
            ``[U, dim]`` on the encoder's device.
        """
        if not (self.use_disk and is_frozen(self.encoder)):
            whitened: Tensor = whitening(self(codes).to(whitening.mean.dtype))
            return whitened
        if self._whitened is None:
            key = vectors_key(self.encoder)
            self._whitened = cached_whitened_vectors(self.frozen_vectors(), whitening, self.feature.folder, key)
        return torch.from_numpy(self._whitened[codes]).to(self.encoder.device)

    def trunk_rows(self) -> RaggedArray | None:
        """Return the output of the frozen trunk for all values; None if there is no trunk, or if it is not cached."""
        trunk = self.encoder.frozen_trunk() if self.use_disk else None
        if trunk is None or trunk.cache_dtype == "off":
            return None
        if trunk.key not in self._trunk_rows:
            self._trunk_rows[trunk.key] = cached_trunk_rows(trunk, self.encoder, self.feature, self.chunking, self.execution)
        return self._trunk_rows[trunk.key]

    def _encode_in_chunks(
        self, encode: Callable[[Inputs], Tensor], source: FieldValues | RaggedArray, rows: RaggedArray | None, codes: np.ndarray
    ) -> Tensor:
        device = self.encoder.device
        # A table lookup has no activations to save. The gradient of each call is as large as the table.
        is_lookup = rows is None or self.encoder.is_lookup
        max_tokens = max(LOOKUP_TOKENS, self.chunking.max_tokens) if self.encoder.is_lookup else self.chunking.max_tokens
        chunks = list(split_into_chunks(codes, rows, max_tokens))
        # Processes gather sharded weights together, once per chunk: one with fewer chunks encodes its first chunk again.
        repeats = self.execution.count_chunks(self.encoder, len(chunks)) - len(chunks)
        out = []
        for number, chunk in enumerate(chunks + chunks[:1] * repeats):
            inputs = to_device(source.inputs(chunk), device)
            if is_lookup or number < self.chunking.chunks_with_activations or not torch.is_grad_enabled():
                vectors = encode(inputs)
            else:
                vectors = checkpoint(encode, inputs, use_reentrant=False)
            out.append(vectors if number < len(chunks) else vectors[:0])
        return torch.cat(out)[torch.from_numpy(np.argsort(np.concatenate(chunks))).to(device)]
