"""Validate the rows of a log: cast the valid ones to the common schema, and quarantine the others with a reason."""

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from interestlab.contract import EventLog
from interestlab.data.casting import cast_columns, format_date
from interestlab.errors import DataError

LATEST_TIMESTAMP = 4_102_444_800
"""2100-01-01 in unix seconds: a later "time in seconds" is almost certainly in milliseconds."""

DEFAULT_EVENT = "interaction"
"""Type of an event whose source gives none."""

QUARANTINE_SCHEMA = {"file": pl.String, "line": pl.Int64, "reason": pl.String}

RESERVED_COLUMNS = ("row", "user", "item")
"""Columns that histories add to the events, so that no source may provide them."""

REQUIRED_COLUMNS = ("user_id", "item_id", "timestamp")

OPTIONAL_COLUMNS = ("event", "rating", "text", "position", "title", "description", "brand", "category", "price")
"""Columns of the common schema that a source may leave out."""

_PREVIEW_CHARACTERS = 40
_DATE = r"^\d{4}-\d{1,2}-\d{1,2}"


class ValidatedLog(NamedTuple):
    """The valid rows of an event log, and the rows in quarantine.

    Attributes:
        events: ``user_id``, ``item_id`` str; ``timestamp`` int64 unix seconds; ``event``, ``text`` str; ``rating`` float32;
            then any further columns of the source.
        items: ``item_id`` str, ``title``, ``description``, ``brand``, ``category`` str, ``price`` float32, and further
            columns.
        quarantine: ``file``, ``line``, ``reason`` of every invalid row.
        num_rows: number of rows, valid and invalid.
    """

    events: pl.DataFrame
    items: pl.DataFrame
    quarantine: pl.DataFrame
    num_rows: int


def validate(log: EventLog) -> ValidatedLog:
    """Validate every row of a log. No row is dropped silently: each is either returned or in quarantine.

    Args:
        log: events and items as a source read them.

    Returns:
        The valid rows in the common schema, and the quarantine.

    Raises:
        DataError: a required column is missing, or a column cannot be read at all.
    """
    events = log.events.collect()
    items = log.items.collect() if log.items is not None else pl.DataFrame({"item_id": []}, schema={"item_id": pl.String})
    _check_columns(events, REQUIRED_COLUMNS, "events")
    _check_columns(items, ("item_id",), "items")
    if reserved := [c for c in RESERVED_COLUMNS if c in events.columns]:
        raise DataError(f"the events have a column {', '.join(reserved)}, a name that histories use themselves; rename it.")
    if "id" in items.columns:
        raise DataError("the items have a column named id, which is reserved for the field item.id; rename the column.")
    events, undecodable_events = cast_columns(events, "events", (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS))
    items, undecodable_items = cast_columns(items, "items", ("item_id", *OPTIONAL_COLUMNS))
    rejected = log.rejected.collect() if log.rejected is not None else pl.DataFrame(schema=QUARANTINE_SCHEMA)

    event_reasons = [
        *map(pl.lit, undecodable_events),
        _missing_id("user_id"),
        _missing_id("item_id"),
        _invalid_timestamp(events),
        _invalid_number(events, "rating"),
        _invalid_number(events, "position"),
    ]
    item_reasons = [*map(pl.lit, undecodable_items), _missing_id("item_id"), _invalid_number(items, "price")]
    valid_events, invalid_events = _partition_rows(_with_source_location(events), event_reasons)
    valid_items, invalid_items = _partition_rows(_with_source_location(items), item_reasons)
    valid_items, duplicates = _partition_rows(valid_items, [_duplicate("item_id")])
    rejected = rejected.select(pl.col(c).cast(t) for c, t in QUARANTINE_SCHEMA.items())
    return ValidatedLog(
        events=_cast_events(valid_events.drop("file", "line")),
        items=_cast_items(valid_items.drop("file", "line")),
        quarantine=pl.concat([rejected, invalid_events, invalid_items, duplicates]),
        num_rows=events.height + items.height + rejected.height,
    )


def _check_columns(frame: pl.DataFrame, required: Iterable[str], table: str) -> None:
    """Raise DataError if a required column is missing, or a column of the schema contains lists."""
    missing = [c for c in required if c not in frame.columns]
    if missing:
        raise DataError(
            f"the {table} have no column {', '.join(missing)}; they have: {', '.join(frame.columns)}. Map it with `columns`."
        )
    if nested := [c for c in (*required, *OPTIONAL_COLUMNS) if c in frame.columns and frame.schema[c].is_nested()]:
        raise DataError(f"the {table} have lists or structs in {', '.join(nested)}; give one value per row.")


def _with_source_location(frame: pl.DataFrame) -> pl.DataFrame:
    """Add ``file`` and ``line`` if the source gives none: an empty file name, and the number of the row."""
    return frame.with_columns(
        pl.col("file") if "file" in frame.columns else pl.lit("").alias("file"),
        pl.col("line") if "line" in frame.columns else pl.int_range(1, pl.len() + 1).alias("line"),
    )


def _partition_rows(frame: pl.DataFrame, reasons: list[pl.Expr]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the valid rows and the quarantine; the first reason that is not null makes a row invalid."""
    reason = frame.select(reason=pl.coalesce(reasons)).to_series()  # separate: a source may have a column of this name
    invalid = frame.with_columns(reason).filter(reason.is_not_null())
    return frame.filter(reason.is_null()), invalid.select(pl.col(c).cast(t) for c, t in QUARANTINE_SCHEMA.items())


def _missing_id(column: str) -> pl.Expr:
    text = _stripped(column)
    return pl.when(text.is_null() | (text == "")).then(pl.lit(f"{column} is missing"))


def _invalid_number(frame: pl.DataFrame, column: str) -> pl.Expr:
    """Return a reason if a value is present but is not a finite float32."""
    if column not in frame.columns:
        return pl.lit(None, pl.String)
    value = pl.col(column).cast(pl.Float32, strict=False)
    invalid = pl.col(column).is_not_null() & ~value.is_finite().fill_null(False)
    return pl.when(invalid).then(pl.format(column + " is not a number: {}", _preview(column)))


def _invalid_timestamp(frame: pl.DataFrame) -> pl.Expr:
    seconds = _unix_seconds(frame)
    is_date = frame.schema["timestamp"].is_temporal()
    value = format_date("timestamp").str.slice(0, _PREVIEW_CHARACTERS) if is_date else _preview("timestamp")
    return (
        pl.when(pl.col("timestamp").is_null())
        .then(pl.lit("timestamp is missing"))
        .when(seconds.is_null() & value.str.contains(_DATE))
        .then(pl.format("timestamp {} is a date; convert it to unix seconds", value))
        .when(seconds.is_null())
        .then(pl.format("timestamp is not a number of seconds: {}", value))
        .when((seconds <= 0) | (seconds >= LATEST_TIMESTAMP))
        .then(pl.format("timestamp {} is outside 1970 to 2100 (it must be in unix seconds)", value))
    )


def _duplicate(column: str) -> pl.Expr:
    reason = pl.format(column + " {} is a duplicate of an earlier row", _preview(column))
    return pl.when(~_stripped(column).is_first_distinct()).then(reason)


def _stripped(column: str) -> pl.Expr:
    """An id without surrounding white space."""
    return pl.col(column).cast(pl.String, strict=False).str.strip_chars()


def _unix_seconds(frame: pl.DataFrame) -> pl.Expr:
    """Return ``timestamp`` as int64 seconds, null where it cannot be read as a time."""
    if frame.schema["timestamp"].is_temporal():
        return pl.col("timestamp").dt.epoch("s")
    value = pl.col("timestamp").cast(pl.Float64, strict=False)
    return pl.when(value.is_finite() & (value.abs() < 1e17)).then(value).cast(pl.Int64, strict=False)


def _preview(column: str) -> pl.Expr:
    """The start of a value, for a reason; never null."""
    return pl.col(column).cast(pl.String, strict=False).fill_null("?").str.slice(0, _PREVIEW_CHARACTERS)


def _cast_events(events: pl.DataFrame) -> pl.DataFrame:
    if "position" in events.columns:
        events = events.with_columns(pl.col("position").cast(pl.Float64).cast(pl.Int64, strict=False))  # "3.0" is 3
    return events.with_columns(
        _stripped("user_id"),
        _stripped("item_id"),
        _unix_seconds(events).alias("timestamp"),
        _optional_column(events, "event", pl.String).fill_null(DEFAULT_EVENT),
        _optional_column(events, "rating", pl.Float32),
        _optional_column(events, "text", pl.String),
    )


def _cast_items(items: pl.DataFrame) -> pl.DataFrame:
    return items.with_columns(
        _stripped("item_id"),
        *(_optional_column(items, c, pl.String) for c in ("title", "description", "brand", "category")),
        _optional_column(items, "price", pl.Float32),
    )


def _optional_column(frame: pl.DataFrame, column: str, dtype: type[pl.DataType]) -> pl.Expr:
    if column not in frame.columns:
        return pl.lit(None, dtype).alias(column)
    return pl.col(column).cast(dtype, strict=False)
