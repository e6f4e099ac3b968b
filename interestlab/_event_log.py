"""Events and items as a source returns them, which :mod:`interestlab.contract` re-exports."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class EventLog:
    """Events and items that a source returns, as lazy frames in the common schema.

    Rows need not be valid: the data layer checks types, ids and times, and quarantines each bad row with its file, line and
    reason. A source returns rows as it read them, and in ``rejected`` only lines that it could not parse.

    Stability: stable.

    Attributes:
        events: ``user_id``, ``item_id``, ``timestamp`` (unix seconds), and if known ``event`` (view, cart, favorite,
            purchase, review), ``rating``, ``text`` (the user's own words), ``position`` (the order of publication);
            any further column becomes a field ``event.COLUMN``. The optional ``file`` and ``line`` (from 1) name the origin of
            a row.
        items: ``item_id``, and if known ``title``, ``description``, ``brand``, ``category``, ``price``; further
            columns become fields ``item.COLUMN``. None: the items of the events, without words.
        rejected: ``file``, ``line``, ``reason`` of each line that could not be parsed.
        truth: the ground truth of a simulated log.
    """

    events: pl.LazyFrame
    items: pl.LazyFrame | None = None
    rejected: pl.LazyFrame | None = None
    truth: pl.LazyFrame | None = None
