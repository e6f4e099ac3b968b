"""Columns of the events that follow from their times, and so need not be kept."""

import polars as pl

COLUMNS = {"hour": 24, "weekday": 7, "elapsed": 32}
"""How many values each can have: the hour of the day and the day of the week (1 is Monday), both UTC; ``elapsed`` is the
logarithm to base 2, rounded down, of one more than the seconds since the user's previous event."""


def with_clock(events: pl.LazyFrame) -> pl.LazyFrame:
    """Events, sorted by user and time, with :data:`COLUMNS`; a column of that name that the source gave stays as it is."""
    moment = pl.from_epoch("timestamp", time_unit="s")
    away = pl.when(pl.col("user") == pl.col("user").shift(1)).then(pl.col("timestamp").diff())
    told = {
        "hour": moment.dt.hour(),
        "weekday": moment.dt.weekday(),
        # Counted in bits: a logarithm in floats misses a power of two by a hair.
        "elapsed": 63 - (1 + away).bitwise_leading_zeros().cast(pl.Int8),
    }
    there = events.collect_schema().names()
    return events.with_columns(expression.alias(name) for name, expression in told.items() if name not in there)
