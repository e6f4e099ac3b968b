"""What happened around the changes of users: their sessions, the items and the words on both sides."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import polars as pl

from interestlab.data.event_store import EventStore
from interestlab.drift.population import to_datetimes
from interestlab.drift.session_log import SessionLog

NEAR = 10
"""Events on each side of a change whose words are compared."""

ITEMS, WORDS = 5, 6
"""How many are told."""


def around(store: EventStore, log: SessionLog, position: np.ndarray) -> pl.DataFrame:
    """The items and words on both sides of some changes.

    Args:
        store: that the log is of; it has the titles and the users' own words.
        log: events of the store.
        position: ``[n]`` for each change, the first event after it.

    Returns:
        A row a change: ``items_before``, ``items_after``, nearest first, and ``words_before``, ``words_after``, those by which
        the sides differ most.
    """
    titles = _titles(log.items)
    begins, ends = log.offsets[log.user[position]], log.offsets[log.user[position] + 1]
    sides = [
        (np.arange(at - 1, max(at - 1 - NEAR, first - 1), -1), np.arange(at, min(at + NEAR, last)))
        for at, first, last in zip(position, begins, ends, strict=True)
    ]
    rows = np.unique(np.concatenate([side for both in sides for side in both])) if sides else np.empty(0, np.int64)
    said = dict(zip(rows.tolist(), _texts(store, log.row[rows]), strict=True))
    out: list[dict[str, list[str]]] = []
    for both in sides:
        seen = [[titles[log.item[row]] for row in side] for side in both]
        read = [
            Counter(w for row, title in zip(side, told, strict=True) for w in words(f"{title} {said[row]}"))
            for side, told in zip(both, seen, strict=True)
        ]
        out.append(
            {
                "items_before": list(dict.fromkeys(seen[0]))[:ITEMS],
                "items_after": list(dict.fromkeys(seen[1]))[:ITEMS],
                "words_before": telling(read[0], read[1]),
                "words_after": telling(read[1], read[0]),
            }
        )
    names = ("items_before", "items_after", "words_before", "words_after")
    return pl.DataFrame(out, schema=dict.fromkeys(names, pl.List(pl.String)))


def sessions(
    store: EventStore, log: SessionLog, interest: np.ndarray, names: list[str], users: np.ndarray, changes: pl.DataFrame
) -> pl.DataFrame:
    """The sessions of some users, each by its first event.

    Args:
        store: that the log is of.
        log: events of the store.
        interest: ``[S]`` of each session.
        names: of the interests.
        users: ``[n]`` indices.
        changes: ``user_id`` and ``session``, before which the user changed.

    Returns:
        ``user_id, session, at, interest, title, event, change``.
    """
    offsets = log.session_offsets
    which = np.concatenate([np.arange(offsets[u], offsets[u + 1]) for u in users]) if len(users) else np.empty(0, np.int64)
    first = log.session_starts[which]
    user = log.user[first]
    titles = _titles(log.items)
    kinds = store.events.select(pl.col("event").gather(pl.Series(log.row[first]))).collect().to_series()
    table = pl.DataFrame(
        {
            "user_id": log.users.gather(user.tolist()),
            "session": which - offsets[user],
            "at": to_datetimes(log.time[first]),
            "interest": [names[k] for k in interest[which]],
            "title": [titles[i] for i in log.item[first]],
            "event": kinds,
        },
        schema_overrides={"interest": pl.String, "title": pl.String},
    )
    marks = changes.select("user_id", "session").unique().with_columns(change=True)
    return table.join(marks, on=["user_id", "session"], how="left", maintain_order="left").with_columns(
        pl.col("change").fill_null(False)
    )


def words(text: str) -> set[str]:
    """The words of a text that can tell anything: no numbers, no stop words of English; runs of Chinese by two characters."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    found: set[str] = set()
    for word in re.findall(r"[^\W\d_]{2,}", text.lower()):
        if re.match(r"[\u4e00-\u9fff]", word):
            found.update(word[i : i + 2] for i in range(len(word) - 1))
        elif len(word) > 2 and word not in ENGLISH_STOP_WORDS:
            found.add(word)
    return found


def telling(here: Counter[str], there: Counter[str]) -> list[str]:
    """The words that stand in more texts here than there, by how many more."""
    more = {word: count - there[word] for word, count in here.items() if count > there[word]}
    return sorted(more, key=lambda word: (-more[word], word))[:WORDS]


def _titles(items: pl.DataFrame) -> Sequence[str]:
    told = [pl.col(c) for c in ("title", "category") if c in items.columns]
    return items.select(pl.coalesce(*told, "item_id").cast(pl.String).alias("title")).to_series().to_list()


def _texts(store: EventStore, rows: np.ndarray) -> list[str]:
    return store.events.select(pl.col("text").gather(pl.Series(rows))).collect().to_series().fill_null("").to_list()
