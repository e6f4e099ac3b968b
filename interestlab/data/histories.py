"""A checked log -> k-core, order, and the arrays of histories."""

from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from interestlab.data.text_cleaning import Cleaning
from interestlab.data.validate import Checked
from interestlab.errors import DataError

Ties = Literal["file", "shuffle", "item"]


class Histories(NamedTuple):
    """Every user's events in order, one after the other.

    Attributes:
        events: one row an event, sorted by user and order; ``user`` and ``item`` are indices.
        items: one row an item of the catalogue, at its index.
        users: ``user_id`` at its index.
        offsets: ``[users + 1]`` int64 where each history begins.
    """

    events: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    offsets: np.ndarray


def histories(log: Checked, *, clean: Cleaning, k_core: int, min_history: int, ties: Ties, seed: int) -> Histories:
    """Clean, thin out, order and index a log.

    Raises:
        DataError: no event is left.
    """
    events = k_core_filter(log.events.with_row_index("row"), k_core)
    if min_history > 1:
        events = events.filter(pl.len().over("user_id") >= min_history)
    if events.is_empty():
        raise DataError(f"no event is left after k_core={k_core} and min_history={min_history}; lower them.")
    events = events.sort("user_id", "timestamp", *tie_break(events, ties, seed))
    users = events.select(pl.col("user_id").unique(maintain_order=True))
    catalogue = events.select(pl.col("item_id").unique().sort())
    items = catalogue.join(log.items, on="item_id", how="left", maintain_order="left")
    events = (
        events.join(users.with_row_index("user"), on="user_id", how="left", maintain_order="left")
        .join(catalogue.with_row_index("item"), on="item_id", how="left", maintain_order="left")
        .drop("row", "user_id", "item_id")
    )
    offsets = np.concatenate([[0], events["user"].value_counts().sort("user")["count"].cum_sum().to_numpy()]).astype(np.int64)
    return Histories(clean_frame(events, clean), clean_frame(items, clean, but=("item_id",)), users, offsets)


def k_core_filter(events: pl.DataFrame, k: int) -> pl.DataFrame:
    """The k-core: users and items of fewer than ``k`` events leave, until none is left to leave."""
    height = -1
    while k > 1 and events.height != height:
        height = events.height
        events = events.filter(pl.len().over("user_id") >= k).filter(pl.len().over("item_id") >= k)
    return events


def tie_break(events: pl.DataFrame, ties: Ties, seed: int) -> list[pl.Expr]:
    """What orders events of equal time: their place in the file (or ``position``, where published), chance, or the item."""
    if ties == "file":
        return [pl.col("position"), pl.col("row")] if "position" in events.columns else [pl.col("row")]
    if ties == "item":
        return [pl.col("item_id"), pl.col("row")]
    return [pl.lit(pl.Series(np.random.default_rng(seed).permutation(events.height)))]


def clean_frame(frame: pl.DataFrame, clean: Cleaning, but: tuple[str, ...] = ()) -> pl.DataFrame:
    """Every text column cleaned."""
    texts = [c for c, t in frame.schema.items() if t == pl.String and c not in but]
    return frame.with_columns(clean.column(c) for c in texts)
