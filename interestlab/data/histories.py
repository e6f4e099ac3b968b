"""Filter, order and index a validated log into user histories."""

from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from interestlab.data.split import SplitStrategy, cut_times
from interestlab.data.text_cleaning import Cleaning, clean_text_columns
from interestlab.data.validate import ValidatedLog
from interestlab.errors import DataError

Ties = Literal["file", "shuffle", "item"]

ORDER_ONLY = 0.95
"""Share of the histories that advance by at most one second per event from which on timestamps are no times."""


class Histories(NamedTuple):
    """All users' events in order, one history after the other.

    Attributes:
        events: one row per event, sorted by user and time; ``user`` and ``item`` are indices.
        items: one row per catalogue item, in index order.
        users: one row per user, in index order; column ``user_id``.
        offsets: ``[users + 1]`` int64 index of the first event of each history.
        cuts: unix seconds at which the validation window and the test window of a split by time start.
        wordless: number of events that were removed because their items are new and have no text.
    """

    events: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame
    offsets: np.ndarray
    cuts: tuple[int, int]
    wordless: int


def build_histories(
    log: ValidatedLog,
    *,
    clean: Cleaning,
    k_core: int,
    min_history: int,
    ties: Ties,
    seed: int,
    split: SplitStrategy = "leave_one_out",
    split_quantiles: tuple[float, float] = (0.8, 0.9),
) -> Histories:
    """Filter, order, index and clean a log.

    Args:
        log: the valid rows.
        clean: text cleaning steps.
        k_core: remove users and items with fewer events, repeatedly; 0 removes none.
        min_history: remove users with fewer events.
        ties: order of a user's events that have the same timestamp.
        seed: seed of ``ties="shuffle"``.
        split: with ``new_items``, events of new items without any text are removed too.
        split_quantiles: share of all events before the validation window and before the test window.

    Returns:
        The histories; the catalogue contains the items that still have events.

    Raises:
        DataError: no event is left, or the log does not have the times or texts that the split needs.
    """
    events = k_core_filter(log.events.with_row_index("row"), k_core)
    if min_history > 1:
        events = events.filter(pl.len().over("user_id") >= min_history)
    if events.is_empty():
        raise DataError(f"no event is left after k_core={k_core} and min_history={min_history}; lower them.")
    events = events.sort("user_id", "timestamp", *_tie_order(events, ties, seed))
    catalogue = events.select(pl.col("item_id").unique().sort())
    items = catalogue.join(log.items, on="item_id", how="left", maintain_order="left")
    items = clean_text_columns(items, clean, exclude=("item_id",))
    cuts, height = cut_times(events["timestamp"].to_numpy(), split_quantiles), events.height
    if split == "new_items":
        check_times(log.events)
        unreadable = find_wordless_new_items(events, items, cuts[0])
        events, items = (frame.join(unreadable, on="item_id", how="anti", maintain_order="left") for frame in (events, items))
    users = events.select(pl.col("user_id").unique(maintain_order=True))
    events = (
        events.join(users.with_row_index("user"), on="user_id", how="left", maintain_order="left")
        .join(items.select("item_id").with_row_index("item"), on="item_id", how="left", maintain_order="left")
        .drop("row", "user_id", "item_id")
    )
    lengths = events["user"].value_counts().sort("user")["count"]
    offsets = np.concatenate([[0], lengths.cum_sum().to_numpy()]).astype(np.int64)
    return Histories(clean_text_columns(events, clean), items, users, offsets, cuts, height - events.height)


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


def check_times(events: pl.DataFrame) -> None:
    """Check that timestamps order the events of all users, and are not merely places in each history.

    Args:
        events: all valid events, with ``user_id`` and ``timestamp``.

    Raises:
        DataError: nearly every history advances by at most one second per event.
    """
    time = pl.col("timestamp")
    histories = events.group_by("user_id").agg(span=time.max() - time.min(), length=pl.len()).filter(pl.col("length") > 1)
    if histories.height and histories.select((pl.col("span") < pl.col("length")).mean()).item() > ORDER_ONLY:
        raise DataError(
            "split=new_items needs times that order the events of all users, but the timestamps of this log are places in each "
            "history (1, 2, 3, ...); use leave_one_out, whose test/cold metrics are about items without training events."
        )


def find_wordless_new_items(events: pl.DataFrame, items: pl.DataFrame, start: int) -> pl.DataFrame:
    """Find the items that nothing could recommend or read after a training that ends at some time.

    Args:
        events: ``item_id`` and ``timestamp`` of each event.
        items: the items of the events, cleaned.
        start: unix seconds at which the validation window starts.

    Returns:
        Column ``item_id`` of the items whose first event is at or after ``start`` and that have no text.

    Raises:
        DataError: some items are new, and none of them has a text.
    """
    new = events.group_by("item_id").agg(pl.col("timestamp").min()).filter(pl.col("timestamp") >= start).select("item_id")
    wordless = pl.all_horizontal(pl.col(pl.String).exclude("item_id").is_null())
    wordless_new = items.filter(wordless).join(new, on="item_id", how="semi").select("item_id")
    if new.height and wordless_new.height == new.height:
        raise DataError(
            f"split=new_items: none of the {new.height:,} items that first appear in the validation or test window has a text; "
            "give a table of items with words, or use global_time."
        )
    return wordless_new


def _tie_order(events: pl.DataFrame, ties: Ties, seed: int) -> list[pl.Expr]:
    """Return the sort keys of events with equal timestamps."""
    if ties == "file":
        return [pl.col("position"), pl.col("row")] if "position" in events.columns else [pl.col("row")]
    if ties == "item":
        return [pl.col("item_id"), pl.col("row")]
    return [pl.lit(pl.Series(np.random.default_rng(seed).permutation(events.height)))]
