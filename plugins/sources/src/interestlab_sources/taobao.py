"""The source ``taobao``: Taobao's UserBehavior.csv."""

from pathlib import Path

import polars as pl

from interestlab.contract import EventLog, Source
from interestlab_sources.delimited import add_delimited
from interestlab_sources.lines import LineReader
from interestlab_sources.paths import check_readable
from interestlab_sources.table import Table

_BEHAVIOURS = {"pv": "view", "cart": "cart", "fav": "favorite", "buy": "purchase"}


class Taobao(Source):
    """User behaviour from Taobao: ``user,item,category,behaviour,timestamp`` without a header, plain or gzip.

    The category of an item is that of its first event. Source: https://tianchi.aliyun.com/dataset/649.

    Args:
        path: ``UserBehavior.csv``.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def files(self) -> list[Path]:
        return [check_readable(self.path)]

    def read(self) -> EventLog:
        (path,) = self.files()
        names = ("user_id", "item_id", "category", "event", "timestamp")
        table = Table(path, names)
        add_delimited(table, LineReader(table.blocks()), ",", names)
        rows = table.rows()
        return EventLog(
            events=rows.drop("category").with_columns(pl.col("event").replace(_BEHAVIOURS)),
            items=rows.filter(pl.col("item_id").is_not_null()).unique("item_id", keep="first", maintain_order=True)
            .select("item_id", "category", "file", "line"),
            rejected=table.rejected(),
        )  # fmt: skip
