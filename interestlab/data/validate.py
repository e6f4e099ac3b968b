"""Rows -> good rows in the common schema, and bad rows with the reason."""

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from interestlab.contract import EventLog
from interestlab.data.casting import date_text, plain
from interestlab.errors import DataError

LATEST = 4_102_444_800  # 2100-01-01: past it, a "time in seconds" is in truth in milliseconds

UNTOLD = "interaction"
"""Type of an event of which the source tells none."""

QUARANTINE = {"file": pl.String, "line": pl.Int64, "reason": pl.String}

RESERVED = ("row", "user", "item")
"""Columns that are made of every log's own, so that no source may bring them."""

REQUIRED = ("user_id", "item_id", "timestamp")
"""Columns that events cannot do without."""

KNOWN = ("event", "rating", "text", "position", "title", "description", "brand", "category", "price")
"""Columns of the common schema that may be absent."""


class Checked(NamedTuple):
    """An event log whose every row is right.

    Attributes:
        events: ``user_id``, ``item_id`` str; ``timestamp`` int64 unix seconds; ``event``, ``text`` str; ``rating`` float32;
            then whatever else the source gave.
        items: ``item_id`` str, ``title``, ``description``, ``brand``, ``category`` str, ``price`` float32, and more.
        bad: ``file``, ``line``, ``reason`` of every row that was left out.
        rows: how many rows there were, good and bad.
    """

    events: pl.DataFrame
    items: pl.DataFrame
    bad: pl.DataFrame
    rows: int


def validate(log: EventLog) -> Checked:
    """Check every row of a log; none is dropped in silence: kept rows and quarantined rows are all the rows.

    Raises:
        DataError: a column that no log can do without is missing, or one cannot be read at all.
    """
    events = log.events.collect()
    items = log.items.collect() if log.items is not None else pl.DataFrame({"item_id": []}, schema={"item_id": pl.String})
    require(events, REQUIRED, "events")
    require(items, ("item_id",), "items")
    if taken := [c for c in RESERVED if c in events.columns]:
        raise DataError(f"the events have a column {', '.join(taken)}, a name that histories use themselves; rename it.")
    if "id" in items.columns:
        raise DataError("the items have a column id, a name that the field item.id uses itself; rename it.")
    events, odd_events = plain(events, "events", (*REQUIRED, *KNOWN))
    items, odd_items = plain(items, "items", ("item_id", *KNOWN))
    rejected = log.rejected.collect() if log.rejected is not None else pl.DataFrame(schema=QUARANTINE)

    numbers = [number(events, c) for c in ("rating", "position")]
    ids = [identifier("user_id"), identifier("item_id")]
    good_events, bad_events = check(located(events), [*map(pl.lit, odd_events), *ids, moment(events), *numbers])
    good_items, bad_items = check(located(items), [*map(pl.lit, odd_items), identifier("item_id"), number(items, "price")])
    good_items, repeated = check(good_items, [first_of("item_id")])
    bad = pl.concat([rejected.select(pl.col(c).cast(t) for c, t in QUARANTINE.items()), bad_events, bad_items, repeated])
    return Checked(
        events=normal_events(good_events.drop("file", "line")),
        items=normal_items(good_items.drop("file", "line")),
        bad=bad,
        rows=events.height + items.height + rejected.height,
    )


def require(frame: pl.DataFrame, columns: Iterable[str], what: str) -> None:
    """Stop where a frame lacks a column, or holds lists where the schema has one value."""
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        raise DataError(
            f"the {what} have no column {', '.join(missing)}; they have: {', '.join(frame.columns)}. Map it with `columns`."
        )
    if nested := [c for c in (*columns, *KNOWN) if c in frame.columns and frame.schema[c].is_nested()]:
        raise DataError(f"the {what} have lists or structs in {', '.join(nested)}, where one value is wanted.")


def located(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame whose every row tells its file and line; without, its number."""
    return frame.with_columns(
        pl.col("file") if "file" in frame.columns else pl.lit("").alias("file"),
        pl.col("line") if "line" in frame.columns else pl.int_range(1, pl.len() + 1).alias("line"),
    )


def check(frame: pl.DataFrame, reasons: list[pl.Expr]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split a located frame by the first reason that holds for each row (null: the row is good)."""
    reason = frame.select(reason=pl.coalesce(reasons)).to_series()  # apart: a source may have a column of this name
    bad = frame.with_columns(reason).filter(reason.is_not_null()).select(pl.col(c).cast(t) for c, t in QUARANTINE.items())
    return frame.filter(reason.is_null()), bad


def identifier(column: str) -> pl.Expr:
    """Why an id is not one: it is missing or blank."""
    text = stripped(column)
    return pl.when(text.is_null() | (text == "")).then(pl.lit(f"{column} is missing"))


def stripped(column: str) -> pl.Expr:
    """An id as it is kept: text without blanks around it."""
    return pl.col(column).cast(pl.String, strict=False).str.strip_chars()


def number(frame: pl.DataFrame, column: str) -> pl.Expr:
    """Why a number is not one: it is there, and does not parse or is not finite in the type it is kept in."""
    if column not in frame.columns:
        return pl.lit(None, pl.String)
    value = pl.col(column).cast(pl.Float32, strict=False)
    wrong = pl.col(column).is_not_null() & ~value.is_finite().fill_null(False)
    return pl.when(wrong).then(pl.format(column + " is not a number: {}", shown(column)))


def moment(frame: pl.DataFrame) -> pl.Expr:
    """Why a time is not one: missing, not a number, or outside 1970 to 2100."""
    seconds = unix_seconds(frame)
    told = date_text("timestamp").str.slice(0, 40) if frame.schema["timestamp"].is_temporal() else shown("timestamp")
    return (
        pl.when(pl.col("timestamp").is_null())
        .then(pl.lit("timestamp is missing"))
        .when(seconds.is_null())
        .then(pl.format("timestamp is not a number of seconds: {}", told))
        .when((seconds <= 0) | (seconds >= LATEST))
        .then(pl.format("timestamp {} lies outside 1970 to 2100 (it must be in unix seconds)", told))
    )


def unix_seconds(frame: pl.DataFrame) -> pl.Expr:
    """``timestamp`` as int64 seconds, null where it is not a time."""
    if frame.schema["timestamp"].is_temporal():
        return pl.col("timestamp").dt.epoch("s")
    value = pl.col("timestamp").cast(pl.Float64, strict=False)
    return pl.when(value.is_finite() & (value.abs() < 1e17)).then(value).cast(pl.Int64, strict=False)


def first_of(column: str) -> pl.Expr:
    """Why a row repeats another: its key stood above it."""
    return pl.when(~stripped(column).is_first_distinct()).then(pl.format(column + " {} stands above it already", shown(column)))


def shown(column: str) -> pl.Expr:
    """A value as an error shows it: short, never null."""
    return pl.col(column).cast(pl.String, strict=False).fill_null("?").str.slice(0, 40)


def normal_events(events: pl.DataFrame) -> pl.DataFrame:
    """Good events in the types of the common schema."""
    if "position" in events.columns:
        events = events.with_columns(pl.col("position").cast(pl.Float64).cast(pl.Int64, strict=False))  # "3.0" is 3
    return events.with_columns(
        stripped("user_id"),
        stripped("item_id"),
        unix_seconds(events).alias("timestamp"),
        optional(events, "event", pl.String).fill_null(UNTOLD),
        optional(events, "rating", pl.Float32),
        optional(events, "text", pl.String),
    )


def normal_items(items: pl.DataFrame) -> pl.DataFrame:
    """Good items in the types of the common schema."""
    return items.with_columns(
        stripped("item_id"),
        *(optional(items, c, pl.String) for c in ("title", "description", "brand", "category")),
        optional(items, "price", pl.Float32),
    )


def optional(frame: pl.DataFrame, column: str, dtype: type[pl.DataType]) -> pl.Expr:
    """A column that may be absent, in its type."""
    if column not in frame.columns:
        return pl.lit(None, dtype).alias(column)
    return pl.col(column).cast(dtype, strict=False)
