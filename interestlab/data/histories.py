"""Filter, order and index a validated log into user histories."""

from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from interestlab.data.text_cleaning import Cleaning, clean_text_columns
from interestlab.data.validate import ValidatedLog
from interestlab.errors import DataError

Ties = Literal["file", "shuffle", "item"]


class Histories(NamedTuple):
    """All users' events in order, one history after the other.

    Attributes:
        events: one row per event, sorted by user and time; ``user`` and ``item`` are indices.
        items: one row per catalogue item, in index order.
        users: one row per user, in index order; column ``user_id``.
        offsets: ``[users + 1]`` int64 index of the first event of each history.
    """

    events: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    offsets: np.ndarray


def build_histories(log: ValidatedLog, *, clean: Cleaning, k_core: int, min_history: int, ties: Ties, seed: int) -> Histories:
    """Filter, order, index and clean a log.

    Args:
        log: the valid rows.
        clean: text cleaning steps.
        k_core: remove users and items with fewer events, repeatedly; 0 removes none.
        min_history: remove users with fewer events.
        ties: order of a user's events that have the same timestamp.
        seed: seed of ``ties="shuffle"``.

    Returns:
        The histories; the catalogue contains the items that still have events.

    Raises:
        DataError: no event is left.
    """
    events = k_core_filter(log.events.with_row_index("row"), k_core)
    if min_history > 1:
        events = events.filter(pl.len().over("user_id") >= min_history)
    if events.is_empty():
        raise DataError(f"no event is left after k_core={k_core} and min_history={min_history}; lower them.")
    events = events.sort("user_id", "timestamp", *_tie_order(events, ties, seed))
    users = events.select(pl.col("user_id").unique(maintain_order=True))
    catalogue = events.select(pl.col("item_id").unique().sort())
    items = catalogue.join(log.items, on="item_id", how="left", maintain_order="left")
    events = (
        events.join(users.with_row_index("user"), on="user_id", how="left", maintain_order="left")
        .join(catalogue.with_row_index("item"), on="item_id", how="left", maintain_order="left")
        .drop("row", "user_id", "item_id")
    )
    lengths = events["user"].value_counts().sort("user")["count"]
    offsets = np.concatenate([[0], lengths.cum_sum().to_numpy()]).astype(np.int64)
    return Histories(clean_text_columns(events, clean), clean_text_columns(items, clean, exclude=("item_id",)), users, offsets)


def k_core_filter(events: pl.DataFrame, k: int) -> pl.DataFrame:
    """Remove users and items with fewer than ``k`` events, until every remaining one has ``k``.

    Args:
        events: frame with ``user_id`` and ``item_id``.
        k: events required; up to 1 nothing is removed.
    """
    height = -1
    while k > 1 and events.height != height:
        height = events.height
        events = events.filter(pl.len().over("user_id") >= k).filter(pl.len().over("item_id") >= k)
    return events


def _tie_order(events: pl.DataFrame, ties: Ties, seed: int) -> list[pl.Expr]:
    """Return the sort keys of events with equal timestamps."""
    if ties == "file":
        return [pl.col("position"), pl.col("row")] if "position" in events.columns else [pl.col("row")]
    if ties == "item":
        return [pl.col("item_id"), pl.col("row")]
    return [pl.lit(pl.Series(np.random.default_rng(seed).permutation(events.height)))]
