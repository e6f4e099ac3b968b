"""Pairs of texts that belong together, for the contrastive objective."""

import numpy as np

from interestlab.data.event_store import EventStore
from interestlab.errors import DataError
from interestlab.pretraining.corpus import Corpus
from interestlab.pretraining.settings import Contrast

SECONDS_PER_DAY = 86_400


def text_pairs(log: EventStore, corpus: Corpus, settings: Contrast) -> np.ndarray:
    """Return the pairs of texts that the settings choose.

    Args:
        log: the event store.
        corpus: the texts of its training events.
        settings: which texts belong together.

    Returns:
        ``[pairs, 2]`` int64 indices of texts, each pair once.

    Raises:
        DataError: pairs of users need a single field, or no user has two texts within the window.
    """
    if settings.pairs == "self":
        return np.arange(len(corpus.texts))[:, None].repeat(2, 1)
    if corpus.event_texts is None:
        raise DataError(
            "contrastive.pairs=window needs one field in --text; join the columns of an item with +, as in "
            "item.title+item.brand, or set --contrastive.pairs=self."
        )
    pairs = pairs_in_window(log, corpus, settings)
    if not len(pairs):
        raise DataError(
            f"no user has two different texts within contrastive.window={settings.window:g} days and "
            f"contrastive.reach={settings.reach} events; raise them, or set --contrastive.pairs=self."
        )
    return pairs


def pairs_in_window(log: EventStore, corpus: Corpus, settings: Contrast) -> np.ndarray:
    """Return the pairs of different texts of two training events of one user that are near each other.

    Args:
        log: the event store.
        corpus: the texts of its training events.
        settings: how near.

    Returns:
        ``[pairs, 2]`` int64, ascending, each pair once.
    """
    assert corpus.event_texts is not None
    texts, rows = corpus.event_texts, corpus.event_rows
    users = np.searchsorted(log.offsets, rows, side="right")
    times = log.time[rows]
    found = [np.empty((0, 2), np.int64)]
    for distance in range(1, settings.reach + 1):
        earlier, later = slice(None, -distance), slice(distance, None)
        near = (users[earlier] == users[later]) & (times[later] - times[earlier] <= settings.window * SECONDS_PER_DAY)
        near &= (texts[earlier] >= 0) & (texts[later] >= 0) & (texts[earlier] != texts[later])
        found.append(np.sort(np.stack([texts[earlier][near], texts[later][near]], 1), 1))
    return np.unique(np.concatenate(found), axis=0)
