"""The tensors that modules pass to each other, with their shapes.

``U`` distinct values, ``B`` users, ``T`` events, ``C`` candidate items, ``D`` width of the model.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Inputs(NamedTuple):
    """The distinct values of one field, as an encoder reads them.

    Stability: stable.

    Attributes:
        values: ``[U]`` int64 index of each value, for an encoder without a ``preprocess`` method; otherwise the preprocessed
            rows, padded with zeros on the right: ``[U, L, ...]``.
        lengths: ``[U]`` int64 length of each value without padding; None for indices.
    """

    values: Tensor
    lengths: Tensor | None = None

    @property
    def mask(self) -> Tensor:
        """``[U, L]`` bool, True where a row is real."""
        assert self.lengths is not None, "indices have no mask"
        return torch.arange(self.values.shape[1], device=self.values.device) < self.lengths[:, None]


class Batch(NamedTuple):
    """Histories of several users, padded on the right.

    Stability: provisional.

    Attributes:
        users: ``[B]`` int64 index of the user.
        items: ``[B, T]`` int64 index of the item of each event; 0 in the padding.
        event_index: ``[B, T]`` int64 row of each event in the log, by which its fields (text, type) are read; 0 in the padding.
        dt: ``[B, T]`` float32 days since the user's previous event; 0 at the first and in the padding.
        mask: ``[B, T]`` bool, True where an event is real. The padding is all on the right.
        targets: ``[B, T]`` int64 item of the next event, to be predicted from the events so far; -1 where there is no target.
        history_items: ``[B, S]`` int64 every item of the user's history, also before the first of ``items``, padded with -1;
            empty in training.
    """

    users: Tensor
    items: Tensor
    event_index: Tensor
    dt: Tensor
    mask: Tensor
    targets: Tensor
    history_items: Tensor


class Candidates(NamedTuple):
    """The items among which an objective ranks the target.

    Stability: provisional.

    Attributes:
        embeddings: ``[C, D]`` embedding of each item; of unit length if the model compares by cosine.
        items: ``[C]`` int64 index of each, ascending.
        log_inclusion: ``[C]`` float32 log of the probability that each is a candidate of the training step; 0 if all items are.
        catalogue_size: number of items in the catalogue.
        field_codes: by field that an objective reads, ``[C]`` int64 code of each item; -1 where an item has no value.
    """

    embeddings: Tensor
    items: Tensor
    log_inclusion: Tensor
    catalogue_size: int
    field_codes: Mapping[str, Tensor] = {}

    def index_of(self, items: Tensor) -> Tensor:
        """Return the position of items among the candidates.

        Args:
            items: int64 of any shape; each is a candidate.

        Returns:
            int64 of the same shape.
        """
        return torch.searchsorted(self.items, items)
