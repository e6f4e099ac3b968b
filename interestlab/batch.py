"""The tensors that travel. Every shape of the project is written down here, once.

``U`` unique inputs, ``B`` users, ``T`` events, ``C`` candidate items, ``D`` width of the model.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Inputs(NamedTuple):
    """What an encoder reads: each distinct value of one field, once.

    Stability: stable.

    Attributes:
        values: ``[U]`` int64 index of the value, for an encoder that prepares nothing; else the prepared rows, padded
            with zeros on the right: ``[U, L, ...]``.
        lengths: ``[U]`` int64 true length of each prepared row; None for indices.
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
        event_index: ``[B, T]`` int64 row of each event in the log, where its own fields (text, type) are found; 0 in the
            padding.
        dt: ``[B, T]`` float32 days since the user's previous event; 0 at the first and in the padding.
        mask: ``[B, T]`` bool, True where an event is real. The padding is all on the right.
        targets: ``[B, T]`` int64 item of the next event, to be predicted from the events up to here; -1 where none is.
        history_items: ``[B, S]`` int64 every item of the user's whole history (which ``items`` may cut), padded with -1; empty
            in training.
    """

    users: Tensor
    items: Tensor
    event_index: Tensor
    dt: Tensor
    mask: Tensor
    targets: Tensor
    history_items: Tensor


class Candidates(NamedTuple):
    """The items that an objective tells apart.

    Stability: provisional.

    Attributes:
        embeddings: ``[C, D]`` what each item is; unit length when the model scores by cosine.
        items: ``[C]`` int64 index of each, ascending.
        log_inclusion: ``[C]`` float32 log of the chance that each is among the candidates of a step; 0 where all items are.
        catalogue_size: number of all items, of which these are some or all.
        field_codes: ``[C]`` int64 code of each in the fields that the objective asks for; -1 where an item has no value.
    """

    embeddings: Tensor
    items: Tensor
    log_inclusion: Tensor
    catalogue_size: int
    field_codes: Mapping[str, Tensor] = {}

    def index_of(self, items: Tensor) -> Tensor:
        """Where each of ``items`` (any shape, all of them candidates) stands among the candidates."""
        return torch.searchsorted(self.items, items)
