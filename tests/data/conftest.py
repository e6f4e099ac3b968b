"""A small source, and event stores built from it."""

import polars as pl
import pytest

from interestlab.contract import EventLog, Source
from interestlab.data.datamodule import InterestData

DAY = 86_400


class Tiny(Source):
    """Reads ``user,item,day`` lines, and derives items with three columns.

    Args:
        path: file with the lines.
        with_items: whether there is a table of items.
    """

    reads = 0

    def __init__(self, path: str, with_items: bool = True) -> None:
        self.path, self.with_items = path, with_items

    def files(self):
        from pathlib import Path

        return [Path(self.path)]

    def read(self):
        Tiny.reads += 1
        with open(self.path) as lines:  # noqa: PTH123
            rows = [line.rstrip("\n").split(",") for line in lines]
        events = pl.DataFrame(rows, schema=["user_id", "item_id", "day"], orient="row").with_columns(
            timestamp=(pl.col("day").cast(pl.Float64, strict=False) * DAY).cast(pl.String).fill_null(pl.col("day")),
            text=pl.format("{} liked it", pl.col("user_id")),
            file=pl.lit(self.path),
            line=pl.int_range(1, pl.len() + 1),
        )
        items = events.select(pl.col("item_id").unique().sort()).with_columns(
            title=pl.format("Title of {}", pl.col("item_id")),
            brand=pl.when(pl.col("item_id") != "b").then(pl.lit("Acme")),
        )
        return EventLog(events=events.lazy(), items=items.lazy() if self.with_items else None)


LINES = [f"u{u:02},{'abcdefgh'[(u * 3 + t * t) % 8]},{10 + u + 2 * t}" for u in range(30) for t in range(2 + u % 9)]


@pytest.fixture
def lines(tmp_path):
    """Return a function that writes lines to a file and returns its path."""

    def write(rows=LINES, name="events.csv"):
        file = tmp_path / name
        file.write_text("".join(row + "\n" for row in rows))
        return str(file)

    return write


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def data(lines, cache):
    """Return a function that builds an InterestData over the tiny source."""

    def build(rows=LINES, source=None, **settings):
        return InterestData(source or Tiny(lines(rows)), cache_dir=str(cache), **settings)

    return build


@pytest.fixture
def tiny():
    """Return the source's class, with its count of reads reset."""
    Tiny.reads = 0
    return Tiny
