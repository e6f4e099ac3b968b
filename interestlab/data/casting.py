"""Cast columns of any file type to numbers, text or dates, so that every row can be validated."""

from collections.abc import Collection

import polars as pl

from interestlab.errors import DataError

_YEAR_1, _YEAR_9999 = -62_135_596_800, 253_402_300_799
"""First second of the year 1 and last second of the year 9999. Polars panics when it formats a date far outside of them."""


def cast_columns(frame: pl.DataFrame, table: str, schema_columns: Collection[str]) -> tuple[pl.DataFrame, list[pl.Series]]:
    """Cast columns so that those of the common schema are numbers, text or dates, and the others can be formatted as text.

    Binary columns become text if they are valid UTF-8, durations become ISO 8601 text, and date columns become text if any
    of their dates lies outside the years 1 to 9999. A binary column that is neither UTF-8 nor part of the common schema is
    left unchanged.

    Args:
        frame: events or items, as a source gave them.
        table: ``events`` or ``items``, for error messages.
        schema_columns: names of the columns that belong to the common schema.

    Returns:
        The frame, and one ``[rows]`` str series per schema column with invalid UTF-8: why a row cannot be read, or null.

    Raises:
        DataError: a column contains Python objects.
    """
    if objects := [c for c, t in frame.schema.items() if t == pl.Object]:
        raise DataError(f"the {table} have Python objects in {', '.join(objects)}; give text, numbers or dates.")
    reasons: list[pl.Series] = []
    for column in [c for c, t in frame.schema.items() if t == pl.Binary]:
        values = decode_utf8(frame[column])
        invalid = values.is_null() & frame[column].is_not_null()
        if invalid.any():
            if column not in schema_columns:
                continue
            reasons.append(pl.select(pl.when(invalid).then(pl.lit(f"{column} is not UTF-8"))).to_series())
        frame = frame.with_columns(values)
    dates = [
        c for c, t in frame.schema.items() if t in (pl.Date, pl.Datetime) and not (c in schema_columns and c == "timestamp")
    ]
    out_of_range = [c for c in dates if not frame.select(_has_four_digit_year(c).all()).item()]
    to_text = (pl.Categorical, pl.Enum, pl.Time)
    return frame.with_columns(
        *(pl.col(c).cast(pl.String) for c, t in frame.schema.items() if c in schema_columns and t in to_text),
        *(pl.col(c).dt.to_string("iso") for c, t in frame.schema.items() if t == pl.Duration),
        *(format_date(c) for c in out_of_range),
    ), reasons


def is_scalar_type(dtype: pl.DataType) -> bool:
    """Return whether a column of this type can be a field: one value per row that can be formatted as text.

    Args:
        dtype: type of the column.
    """
    return not dtype.is_nested() and dtype != pl.Binary


def decode_utf8(values: pl.Series) -> pl.Series:
    """Decode a binary column to text; invalid UTF-8 becomes null.

    Args:
        values: ``[rows]`` binary.
    """
    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:  # raised for the column, although perhaps one value alone is invalid
        return pl.Series(values.name, [_decode_or_none(value) for value in values], pl.String)


def format_date(column: str) -> pl.Expr:
    """Format a date as text; a date outside the years 1 to 9999 as its integer.

    Args:
        column: name of a date or datetime column.
    """
    text = pl.when(_has_four_digit_year(column)).then(pl.col(column)).cast(pl.String)
    return text.fill_null(pl.col(column).to_physical().cast(pl.String))


def _decode_or_none(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _has_four_digit_year(column: str) -> pl.Expr:
    return pl.col(column).dt.epoch("s").is_between(_YEAR_1, _YEAR_9999)
