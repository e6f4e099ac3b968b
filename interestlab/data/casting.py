"""Columns of whatever type a file may have -> numbers and text, which every row can be checked in."""

from collections.abc import Collection

import polars as pl

from interestlab.errors import DataError

_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999 in unix seconds: Polars panics where it writes out a date far beyond them."""


def plain(frame: pl.DataFrame, what: str, known: Collection[str]) -> tuple[pl.DataFrame, list[pl.Series]]:
    """A frame whose ``known`` columns are numbers, text or dates, and whose others can be written as text, or are no field.

    Bytes become text where they are UTF-8, durations always, and dates where one lies outside of the years 1 to 9999.

    Returns:
        the frame, and of each column with bytes that are none ``[rows]`` str: why a row cannot be read, null where it can.

    Raises:
        DataError: a column holds Python objects.
    """
    if objects := [c for c, t in frame.schema.items() if t == pl.Object]:
        raise DataError(f"the {what} have Python objects in {', '.join(objects)}; give text, numbers or dates.")
    faults: list[pl.Series] = []
    for column in [c for c, t in frame.schema.items() if t == pl.Binary]:
        values = utf8(frame[column])
        wrong = values.is_null() & frame[column].is_not_null()
        if wrong.any():
            if column not in known:
                continue
            faults.append(pl.select(pl.when(wrong).then(pl.lit(f"{column} is not UTF-8"))).to_series())
        frame = frame.with_columns(values)
    dates = [c for c, t in frame.schema.items() if t in (pl.Date, pl.Datetime) and not (c in known and c == "timestamp")]
    far = [c for c in dates if not frame.select(is_near(c).all()).item()]
    return frame.with_columns(
        *(pl.col(c).cast(pl.String) for c, t in frame.schema.items() if c in known and t in (pl.Categorical, pl.Enum, pl.Time)),
        *(pl.col(c).dt.to_string("iso") for c, t in frame.schema.items() if t == pl.Duration),
        *(date_text(c) for c in far),
    ), faults


def is_value(dtype: pl.DataType) -> bool:
    """Whether a column of this type can be a field: one value a row, which can be written as text."""
    return not dtype.is_nested() and dtype != pl.Binary


def utf8(values: pl.Series) -> pl.Series:
    """Bytes as text, null where they are not UTF-8."""
    try:
        return values.cast(pl.String)
    except pl.exceptions.ComputeError:  # of one value: the others are still good
        return pl.Series(values.name, [decoded(value) for value in values], pl.String)


def decoded(value: bytes | None) -> str | None:
    """Text of UTF-8, or None."""
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def is_near(column: str) -> pl.Expr:
    """Whether a date lies within the years 1 to 9999."""
    return pl.col(column).dt.epoch("s").is_between(_FIRST, _LAST)


def date_text(column: str) -> pl.Expr:
    """A date as text, or as its number where it lies outside of the years 1 to 9999."""
    shown = pl.when(is_near(column)).then(pl.col(column)).cast(pl.String)
    return shown.fill_null(pl.col(column).to_physical().cast(pl.String))
