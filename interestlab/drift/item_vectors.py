"""Vectors of the items that a drift command groups into interests."""

import numpy as np

from interestlab.contract import Encoder
from interestlab.data.datamodule import InterestData
from interestlab.drift.session_log import SessionLog
from interestlab.drift.settings import Settings
from interestlab.drift.vectors import cooccurrence_vectors, encode_items, reduce_dimensions

ENCODER_HELP = (
    "a frozen encoder of one field, such as item.title or event.text, whose vectors group the items into interests; by default "
    "items are similar if the same users interact with them"
)


def item_vectors(data: InterestData, log: SessionLog, settings: Settings, encoder: Encoder | None) -> tuple[np.ndarray, float]:
    """Return vectors of all items, by an encoder or from co-occurrence: which users interact with them.

    Args:
        data: the log.
        log: its events.
        settings: settings of the analysis.
        encoder: encoder of one field; None: vectors by which users interact with each item.

    Returns:
        Vectors ``[items, D]``, and the share of their variance that the reduction to D dimensions retains.
    """
    if encoder is None:
        return reduce_dimensions(cooccurrence_vectors(log, settings.column, seed=settings.seed))
    return reduce_dimensions(encode_items(data, log, encoder))
