"""Event columns computed from the timestamps whenever they are read, and so not stored."""

import polars as pl

COLUMNS = {"hour": 24, "weekday": 7, "elapsed": 32}
"""Computed column -> number of its possible values. ``hour`` of the day and ``weekday`` (1 is Monday) are in UTC; ``elapsed``
is ``floor(log2(1 + seconds since the user's previous event))``."""


def add_time_features(events: pl.LazyFrame) -> pl.LazyFrame:
    """Add :data:`COLUMNS` to events; a column of the same name that the source provides is not replaced.

    Args:
        events: sorted by user and time, with ``user`` (index) and ``timestamp`` (unix seconds).
    """
    time = pl.from_epoch("timestamp", time_unit="s")
    seconds = pl.when(pl.col("user") == pl.col("user").shift(1)).then(pl.col("timestamp").diff())
    features = {
        "hour": time.dt.hour(),
        "weekday": time.dt.weekday(),
        # Count bits instead of taking a float logarithm, which rounds some powers of two down.
        "elapsed": 63 - (1 + seconds).bitwise_leading_zeros().cast(pl.Int8),
    }
    existing = events.collect_schema().names()
    return events.with_columns(feature.alias(name) for name, feature in features.items() if name not in existing)
