"""The backbone: encoders, fusion heads and dynamics composed into one module."""

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab.batch import Batch
from interestlab.contract import Dynamics, Encoder, FusionHead
from interestlab.data.fields import FieldValues
from interestlab.errors import DataError
from interestlab.model.amortized import Amortization, AmortizedEncoding
from interestlab.model.chunking import EncoderChunking
from interestlab.model.disk_cache import cached_whitening, is_frozen, vectors_key
from interestlab.model.embedding_cache import EmbeddingCache
from interestlab.model.execution import LOCAL, EncoderExecution
from interestlab.model.streams import Stream, list_streams
from interestlab.model.whitening import Whitening, fit_whitening

Similarity = Literal["cosine", "dot"]

Encoded = Mapping[str, tuple[Tensor, Tensor]]
"""By stream, the embeddings ``[..., D]`` and ``[...]`` bool, whether there is a value."""

ALL = slice(None)
"""All items of the catalogue."""


class InterestBackbone(nn.Module):
    """Encode items and events, compute user states from the events, and make items and user states comparable.

    Call :meth:`attach` before anything is encoded.

    Args:
        encoders: encoders by key; they are built here.
        dynamics: updates the user state from event to event.
        cardinalities: number of distinct values of each field; ``item.id`` is the catalogue.
        fusion: template of the heads that fuse the streams of an item, and an item with the streams of its event; each side
            gets a copy with weights of its own. A single stream needs none.
        dim: width D, to which the output of every encoder is projected.
        similarity: how a user state and an item are compared: ``cosine`` similarity, or ``dot`` product.
        chunking: how many values are encoded in one call.
        amortize: how many values of a training step are encoded with gradient.

    Raises:
        ValueError: a name is reserved, no encoder reads the items, or several streams have no fusion head.
    """

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        dynamics: Dynamics,
        cardinalities: Mapping[str, int],
        fusion: FusionHead | None = None,
        dim: int = 64,
        similarity: Similarity = "cosine",
        chunking: EncoderChunking = EncoderChunking(),  # noqa: B008 (frozen)
        amortize: Amortization = Amortization(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__()
        self.dim, self.similarity, self.chunking, self.amortize = dim, similarity, chunking, amortize
        self.num_items = cardinalities["item.id"]
        self.streams = list_streams(encoders)
        self.item_streams, self.event_streams = ([s for s in self.streams if s.side == side] for side in ("item", "event"))
        for encoder in encoders.values():
            encoder.build(cardinalities, dim)
        self.encoders = nn.ModuleDict(encoders)
        self.projections = nn.ModuleDict({key: make_projection(e, dim) for key, e in encoders.items()})
        self.fusion = nn.ModuleDict()
        for side, names in {
            "item": [s.name for s in self.item_streams],
            "event": ["item", *(s.name for s in self.event_streams)],
        }.items():
            if len(names) > 1:
                if fusion is None:
                    raise ValueError(f"streams {', '.join(names)} need a fusion head, such as --model.fusion=attention")
                head = deepcopy(fusion)
                head.build(names)
                self.fusion[side] = head
        self.dynamics = dynamics
        self.features: dict[str, FieldValues] = {}
        self.caches: dict[str, EmbeddingCache] = {}
        self.amortized = AmortizedEncoding(amortize, {})
        self.execution: EncoderExecution = LOCAL
        self._encoders = dict(encoders)  # the same as the ModuleDict, with types
        self._placeholder: Tensor
        self.register_buffer("_placeholder", torch.zeros(()), persistent=False)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self._placeholder.device

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of embeddings outside of autocast."""
        return self._placeholder.dtype

    def encoder_of(self, stream: Stream) -> Encoder:
        """Return the encoder of a stream.

        Args:
            stream: the stream.
        """
        return self._encoders[stream.encoder]

    def attach(self, features: Mapping[str, FieldValues]) -> None:
        """Set the fields that the streams read.

        Args:
            features: the field of each stream, by the stream's name.

        Raises:
            DataError: a field has no value in any row.
        """
        self.features = dict(features)
        self.caches = {s.name: EmbeddingCache(self.encoder_of(s), features[s.name], self.chunking) for s in self.streams}
        self.amortized = AmortizedEncoding(self.amortize, self.caches)
        self.set_execution(self.execution)
        empty = [s for s in self.streams if not (features[s.name].codes >= 0).any()]
        fields = ", ".join(s.field for s in empty)
        if set(empty) >= set(self.item_streams):
            raise DataError(
                f"no item has a value for {fields}, so all items would be alike; add `id`, or a source of items with words."
            )
        if empty:
            unused = ", ".join(dict.fromkeys(s.encoder for s in empty))
            raise DataError(f"no row of the log has a value for {fields}; leave out {unused}.")

    def set_execution(self, execution: EncoderExecution) -> None:
        """Set how encoders run in this process.

        Args:
            execution: from :func:`interestlab.distributed.parallelize.parallelize`.
        """
        self.execution = execution
        for cache in self.caches.values():
            cache.execution = execution

    # ---- embed values, items and events

    def embed_values(self, stream: Stream, codes: np.ndarray, cache: EmbeddingCache | None = None) -> Tensor:
        """Embed distinct values of a stream, each encoded once.

        Args:
            stream: the stream.
            codes: ``[U]`` int64 codes of its values, ascending and distinct.
            cache: where the values are encoded, if they are not those of the attached field.

        Returns:
            ``[U, D]``
        """
        cache = cache or self.caches[stream.name]
        if isinstance(whitening := self.projections[stream.encoder], Whitening):
            self.fit_whitening(stream.encoder)
            return cache.whitened(whitening, codes).to(self.dtype)
        return self.project(stream, cache(codes))

    def fit_whitening(self, key: str) -> None:
        """Fit the whitening of an encoder on the distinct values of its fields, unless it is fitted, or there is none.

        Args:
            key: key of the encoder.

        Raises:
            DataError: all values have the same embedding.
        """
        whitening = self.projections[key]
        if not isinstance(whitening, Whitening) or whitening.is_fitted:
            return
        encoder, caches = self._encoders[key], [self.caches[s.name] for s in self.streams if s.encoder == key]
        vectors, fields = [cache.all_vectors() for cache in caches], ", ".join(encoder.fields)
        if is_frozen(encoder):
            names = {"vectors": vectors_key(encoder)} | {f"values_{i}": c.feature.folder.name for i, c in enumerate(caches)}
            whitening.set_map(*cached_whitening(vectors, self.dim, caches[0].feature.folder, names, fields))
        else:
            whitening.set_map(*fit_whitening(vectors, self.dim, fields))

    def project(self, stream: Stream, vectors: Tensor) -> Tensor:
        """Project the output of a stream's encoder to the width of the model.

        Args:
            stream: the stream.
            vectors: ``[U, out_dim]``.

        Returns:
            ``[U, D]``
        """
        return self.projections[stream.encoder](vectors.to(self.dtype))

    def embed_rows(self, stream: Stream, rows: np.ndarray | slice, *, shared: bool = False) -> tuple[Tensor, Tensor]:
        """Embed the values that some rows have in a stream.

        Args:
            stream: the stream.
            rows: ``[...]`` int64 rows of the items or the events; :data:`ALL` for the whole catalogue.
            shared: whether all processes ask for the same rows, so that each needs to encode only a part of their values.

        Returns:
            ``[..., D]``, zero where a row has no value, and ``[...]`` bool, whether it has one.
        """
        feature = self.features[stream.name]
        codes = feature.codes[rows]
        present = torch.from_numpy(codes >= 0).to(self.device)
        distinct, inverse = feature.distinct if rows is ALL else np.unique(codes[codes >= 0], return_inverse=True)
        amortized = self.amortized.tables.get(stream.name) if self.training and torch.is_grad_enabled() else None
        if amortized is not None:
            table = self.project(stream, amortized(distinct, self.dtype, shared=shared))
        elif not len(distinct):
            return self._zeros_with_gradient(stream, *codes.shape), present
        elif shared and self.caches[stream.name].is_costly:
            table = self.execution.encode_shared(distinct, lambda codes: self._embed_share(stream, codes))
        else:
            table = self.embed_values(stream, distinct)
        vectors = table[torch.from_numpy(inverse).to(self.device)]
        if len(vectors) == codes.size:
            return vectors.view(*codes.shape, self.dim), present
        out = vectors.new_zeros(*codes.shape, self.dim)
        return out.masked_scatter(present[..., None], vectors), present

    def embed_items(self, items: np.ndarray | slice, *, shared: bool = False) -> Tensor:
        """Embed items: encode their streams and fuse them.

        Args:
            items: ``[M]`` int64 indices of the items; :data:`ALL` for the whole catalogue.
            shared: whether all processes ask for the same items.

        Returns:
            ``[M, D]``
        """
        return self.fuse_items({s.name: self.embed_rows(s, items, shared=shared) for s in self.item_streams})

    def embed_events(self, batch: Batch, items: Tensor) -> Tensor:
        """Embed events: encode their own streams and fuse them with the item.

        Args:
            batch: the events.
            items: ``[B, T, D]`` embedding of the item of each event.

        Returns:
            ``[B, T, D]`` as the dynamics reads them.
        """
        if "event" not in self.fusion:
            return items
        rows = batch.event_index.cpu().numpy()
        streams = {s.name: self.embed_rows(s, rows) for s in self.event_streams}
        return fuse(self.fusion["event"], {"item": (items, batch.mask)} | streams)

    def fuse_items(self, encoded: Encoded) -> Tensor:
        """Fuse the streams of items.

        Args:
            encoded: by item stream, embeddings ``[M, D]`` and whether there is a value ``[M]``.

        Returns:
            ``[M, D]``
        """
        return fuse(self.fusion["item"], encoded) if "item" in self.fusion else next(iter(encoded.values()))[0]

    # ---- follow and compare

    def forward(self, event_embeddings: Tensor, dt: Tensor, mask: Tensor) -> Tensor:
        """Compute the user state after each event.

        Args:
            event_embeddings: ``[B, T, D]``.
            dt: ``[B, T]`` days since the previous event.
            mask: ``[B, T]`` bool, True where an event is real.

        Returns:
            ``[B, T, D]`` the user state after each event, or ``[B, T, K, D]``, ready to be compared with items.
        """
        return self.normalize_for_similarity(self.dynamics(event_embeddings, dt, mask))

    def normalize_for_similarity(self, x: Tensor) -> Tensor:
        """Return user states or items ready to be compared: of unit length for ``cosine``, unchanged for ``dot``.

        Args:
            x: ``[..., D]``.
        """
        return normalize_for_similarity(x, self.similarity)

    # ---- encoding shared by several processes

    def _embed_share(self, stream: Stream, codes: np.ndarray) -> Tensor:
        """Embed ``codes [U]``, possibly none, as ``[U, D]`` of one dtype whatever autocast does."""
        vectors = self.embed_values(stream, codes) if len(codes) else self._zeros_with_gradient(stream, 0)
        return vectors.to(self.dtype)

    def _zeros_with_gradient(self, stream: Stream, *shape: int) -> Tensor:
        """Return zeros ``[*shape, D]`` that give every weight of a stream a gradient, as each process must."""
        none = self.embed_values(stream, self.features[stream.name].any_code)[:0].to(self.dtype)
        return torch.cat([none, none.new_zeros(math.prod(shape), self.dim)]).view(*shape, self.dim)


def make_projection(encoder: Encoder, dim: int) -> nn.Module:
    """Make the layer from an encoder's width to the model's: learnt, the identity if they are equal, or a whitening.

    Args:
        encoder: the encoder, built.
        dim: width of the model.
    """
    if encoder.whiten:
        return Whitening(encoder.out_dim, dim)
    return nn.Identity() if encoder.out_dim == dim else nn.Linear(encoder.out_dim, dim)


def fuse(head: nn.Module, encoded: Encoded) -> Tensor:
    """Call a fusion head.

    Args:
        head: the fusion head.
        encoded: by stream, embeddings ``[..., D]`` and whether there is a value ``[...]``.

    Returns:
        ``[..., D]``
    """
    fused: Tensor = head({k: v for k, (v, _) in encoded.items()}, {k: p for k, (_, p) in encoded.items()})
    return fused


def normalize_for_similarity(x: Tensor, similarity: Similarity) -> Tensor:
    """Return vectors ``[..., D]`` of unit length for ``cosine``, unchanged for ``dot``.

    Args:
        x: ``[..., D]``.
        similarity: how vectors are compared.
    """
    return F.normalize(x, dim=-1) if similarity == "cosine" else x
