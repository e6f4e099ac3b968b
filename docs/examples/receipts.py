"""A source: receipts in JSON Lines, one per line."""

from pathlib import Path

import polars as pl

from interestlab.contract import EventLog, Source


class Receipts(Source):
    """Lines such as ``{"customer": "c1", "time": 1700000000, "skus": ["a", "b"]}``; each article becomes an event.

    Args:
        path: path of the file.
        event: type of the events.
    """

    version = 1  # increase it when the same file would give other rows

    def __init__(self, path: str, event: str = "purchase") -> None:
        self.path, self.event = path, event

    def files(self) -> list[Path]:
        return [Path(self.path).expanduser()]

    def read(self) -> EventLog:
        (file,) = self.files()
        lines = pl.scan_ndjson(file, schema={"customer": pl.String, "time": pl.Int64, "skus": pl.List(pl.String)})
        events = lines.with_row_index("line", offset=1).explode("skus").with_row_index("position")
        return EventLog(
            events.select(
                pl.col("customer").alias("user_id"),
                pl.col("skus").alias("item_id"),
                pl.col("time").alias("timestamp"),
                pl.col("position"),  # the order of articles with the same time
                pl.lit(self.event).alias("event"),
                pl.lit(str(file)).alias("file"),
                pl.col("line"),
            )
        )
