"""Embed items that came after training, and add them to the catalogue of a frozen model."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from interestlab.data.added_items import AddedItems, added_field_values
from interestlab.model.backbone import InterestBackbone
from interestlab.model.embedding_cache import EmbeddingCache
from interestlab.model.frozen import FrozenModel


class AddedItemEmbeddings:
    """The embeddings of added items by one backbone.

    They are encoded apart from the items of the log. The embeddings of those therefore keep every bit, since the result of an
    encoder depends in its last bits on what else is in its batch.

    Args:
        backbone: the backbone, with the fields of the log attached.
        added: M added items.
        cache_dir: folder of all stores.
    """

    def __init__(self, backbone: InterestBackbone, added: AddedItems, cache_dir: Path) -> None:
        self.backbone, self.positions = backbone, torch.from_numpy(added.positions)
        self.caches: dict[str, EmbeddingCache] = {}
        for stream in backbone.item_streams:
            encoder, log_values = backbone.encoder_of(stream), backbone.features[stream.name]
            feature = added_field_values(added, encoder, stream.field, log_values, cache_dir)
            self.caches[stream.name] = EmbeddingCache(encoder, feature, backbone.chunking)

    @property
    def is_readable(self) -> np.ndarray:
        """``[M]`` bool, whether an item has a value in any stream."""
        readable: np.ndarray = np.any([cache.feature.codes >= 0 for cache in self.caches.values()], axis=0)
        return readable

    @torch.no_grad()
    def embed(self) -> Tensor:
        """Return ``[M, D]`` embeddings of the added items."""
        backbone, encoded = self.backbone, {}
        for stream in backbone.item_streams:
            cache = self.caches[stream.name]
            feature, cache.execution = cache.feature, backbone.execution
            present = torch.from_numpy(feature.codes >= 0).to(backbone.device)
            vectors = torch.zeros(len(present), backbone.dim, device=backbone.device, dtype=backbone.dtype)
            if present.any():
                codes, inverse = feature.distinct
                table = backbone.embed_values(stream, codes, cache)
                vectors = vectors.to(table.dtype)
                vectors[present] = table[torch.from_numpy(inverse).to(backbone.device)]
            encoded[stream.name] = vectors, present
        return backbone.fuse_items(encoded)

    def extend(self, frozen: FrozenModel) -> FrozenModel:
        """Return a frozen model that ranks the added items too.

        Args:
            frozen: the backbone, frozen, with the catalogue so far.
        """
        positions = self.positions.to(frozen.items.device)
        num_new = max(0, int(positions.max()) + 1 - len(frozen.items))
        items = torch.cat([frozen.items, frozen.items.new_zeros(num_new, frozen.items.shape[1])])
        items[positions] = self.embed().to(items.dtype)
        values = dict(frozen.values.named_buffers())
        return FrozenModel(frozen.dynamics, items, frozen.similarity, frozen.event_fusion, frozen.event_streams, values)
