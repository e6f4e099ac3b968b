"""Items and words on both sides of a change-point."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from interestlab.data.event_store import EventStore
from interestlab.drift.session_log import SessionLog

EVENTS_PER_SIDE = 10
"""Events on each side of a change whose items and words are compared."""

MAX_ITEMS, MAX_WORDS = 5, 6
"""Items and words listed for each side."""

COLUMNS = ("items_before", "items_after", "words_before", "words_after")


def describe_surroundings(store: EventStore, log: SessionLog, position: np.ndarray) -> pl.DataFrame:
    """List the items and the distinctive words on both sides of some change-points.

    Args:
        store: histories, with the users' own words.
        log: their events by session.
        position: ``[n]`` first event after each change.

    Returns:
        One row per change: ``items_before`` and ``items_after``, nearest first; ``words_before`` and ``words_after``, the words
        by which the sides differ most.
    """
    titles = item_titles(log.items)
    starts, ends = log.offsets[log.user[position]], log.offsets[log.user[position] + 1]
    sides = [
        (np.arange(at - 1, max(at - 1 - EVENTS_PER_SIDE, first - 1), -1), np.arange(at, min(at + EVENTS_PER_SIDE, last)))
        for at, first, last in zip(position, starts, ends, strict=True)
    ]
    rows = np.unique(np.concatenate([side for both in sides for side in both])) if sides else np.empty(0, np.int64)
    texts = dict(zip(rows.tolist(), _event_texts(store, log.event_index[rows]), strict=True))
    out: list[dict[str, list[str]]] = []
    for both in sides:
        items = [[titles[log.item[row]] for row in side] for side in both]
        counts = [
            Counter(w for row, title in zip(side, names, strict=True) for w in extract_words(f"{title} {texts[row]}"))
            for side, names in zip(both, items, strict=True)
        ]
        out.append(
            {
                "items_before": list(dict.fromkeys(items[0]))[:MAX_ITEMS],
                "items_after": list(dict.fromkeys(items[1]))[:MAX_ITEMS],
                "words_before": distinctive_words(counts[0], counts[1]),
                "words_after": distinctive_words(counts[1], counts[0]),
            }
        )
    return pl.DataFrame(out, schema=dict.fromkeys(COLUMNS, pl.List(pl.String)))


def extract_words(text: str) -> set[str]:
    """Extract the informative words of a text: no numbers and no English stop words; Chinese as pairs of characters.

    Args:
        text: any language.

    Returns:
        Distinct words in lower case.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words: set[str] = set()
    for word in re.findall(r"[^\W\d_]{2,}", text.lower()):
        if re.match(r"[\u4e00-\u9fff]", word):
            words.update(word[i : i + 2] for i in range(len(word) - 1))
        elif len(word) > 2 and word not in ENGLISH_STOP_WORDS:
            words.add(word)
    return words


def distinctive_words(here: Counter[str], there: Counter[str]) -> list[str]:
    """Select the words that occur in more texts here than there, the largest difference first.

    Args:
        here: number of texts by word.
        there: the same for the other side.

    Returns:
        At most :data:`MAX_WORDS` words.
    """
    excess = {word: count - there[word] for word, count in here.items() if count > there[word]}
    return sorted(excess, key=lambda word: (-excess[word], word))[:MAX_WORDS]


def item_titles(items: pl.DataFrame) -> Sequence[str]:
    """Return a readable name of each item: its title, else its category, else its id.

    Args:
        items: the catalogue.

    Returns:
        ``[I]`` names.
    """
    columns = [pl.col(c) for c in ("title", "category") if c in items.columns]
    return items.select(pl.coalesce(*columns, "item_id").cast(pl.String).alias("title")).to_series().to_list()


def _event_texts(store: EventStore, rows: np.ndarray) -> list[str]:
    return store.events.select(pl.col("text").gather(pl.Series(rows))).collect().to_series().fill_null("").to_list()
