"""Small valid files of every format that the sources read; each row has its own time or item id."""

import ast
import gzip
import io
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from interestlab.contract import Source
from interestlab_sources.amazon import Amazon
from interestlab_sources.files import Files
from interestlab_sources.recbole import RecBole
from interestlab_sources.taobao import Taobao

FIRST = 1_600_000_000


@dataclass(frozen=True)
class Format:
    """Valid events and items of a file format.

    Attributes:
        events, items: names of the files; no items if the format has none.
        header: lines before the first row of either file.
        separator: separator of the fields of a line.
        spans: whether a quoted field may span lines.
        lines: function that generates the lines of events and of items.
        source: function from the folder to its source.
    """

    events: str
    items: str | None
    header: tuple[list[bytes], list[bytes]]
    separator: bytes
    spans: bool
    lines: Callable[[random.Random], tuple[list[bytes], list[bytes]]]
    source: Callable[[Path], Source]


def _rows(rng: random.Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    events = [
        {
            "user_id": f"u{n % 7}",
            "item_id": f"i{rng.randrange(9)}",
            "timestamp": FIRST + n,  # identifies the row
            "rating": rng.choice([1, 2.5, 5]),
            "text": rng.choice(["fine", "warm light, and cheap", "很好 用", "a &amp; b <b>c</b>"]),
        }
        for n in range(rng.randint(12, 30))
    ]
    items = [{"item_id": f"i{n}", "title": f"Lamp {n}, small", "brand": "Acme", "price": 9.5 + n} for n in range(9)]
    return events, items


def _delimited(separator: str, quote: bool) -> Callable[[random.Random], tuple[list[bytes], list[bytes]]]:
    def cell(value: Any) -> str:
        text = str(value)
        return f'"{text}"' if quote and separator in text else text.replace(separator, " ")

    def lines(rng: random.Random) -> tuple[list[bytes], list[bytes]]:
        events, items = _rows(rng)
        return tuple([separator.join(map(cell, row.values())).encode() for row in part] for part in (events, items))  # type: ignore[return-value]

    return lines


def _jsonl(rng: random.Random) -> tuple[list[bytes], list[bytes]]:
    events, items = _rows(rng)
    return tuple([json.dumps(row, ensure_ascii=rng.random() < 0.5).encode() for row in part] for part in (events, items))  # type: ignore[return-value]


def _amazon(rng: random.Random) -> tuple[list[bytes], list[bytes]]:
    events, items = _rows(rng)
    old = rng.random() < 0.5
    names = ("reviewerID", "asin", "unixReviewTime", "overall", "reviewText")
    reviews = [
        dict(zip(names, row.values(), strict=True))
        if old
        else {**row, "parent_asin": row["item_id"], "timestamp": row["timestamp"] * 1000}
        for row in events
    ]
    metadata = [
        {"asin": row["item_id"], "title": row["title"], "categories": [["A", "B"]], "price": row["price"]} for row in items
    ]
    spelled = [repr(row) if old else json.dumps(row) for row in metadata]
    assert ast.literal_eval(repr(metadata[0])) == metadata[0]
    return [json.dumps(row).encode() for row in reviews], [row.encode() for row in spelled]


def _taobao(rng: random.Random) -> tuple[list[bytes], list[bytes]]:
    events, _ = _rows(rng)
    return [f"{e['user_id']},{e['item_id']},{len(e['text'])},pv,{e['timestamp']}".encode() for e in events], []


_EVENTS, _ITEMS = ["user_id", "item_id", "timestamp", "rating", "text"], ["item_id", "title", "brand", "price"]


def _header(separator: str) -> tuple[list[bytes], list[bytes]]:
    return [separator.join(_EVENTS).encode()], [separator.join(_ITEMS).encode()]


def _files(ending: str) -> Callable[[Path], Source]:
    return lambda folder: Files(str(folder / f"events.{ending}"), str(folder / f"items.{ending}"))


_ATOMIC = (
    [b"user_id:token\titem_id:token\ttimestamp:float\trating:float\ttext:token_seq"],
    [b"item_id:token\ttitle:token_seq\tbrand:token\tprice:float"],
)

FORMATS: dict[str, Format] = {
    "csv": Format("events.csv", "items.csv", _header(","), b",", True, _delimited(",", True), _files("csv")),
    "tsv": Format("events.tsv", "items.tsv", _header("\t"), b"\t", True, _delimited("\t", True), _files("tsv")),
    "jsonl": Format("events.jsonl", "items.jsonl", ([], []), b",", False, _jsonl, _files("jsonl")),
    "csv.gz": Format("events.csv.gz", "items.csv.gz", _header(","), b",", True, _delimited(",", True), _files("csv.gz")),
    "amazon": Format(
        *("reviews.json.gz", "meta.json.gz", ([], []), b",", False, _amazon),
        lambda folder: Amazon(str(folder / "reviews.json.gz"), str(folder / "meta.json.gz")),
    ),
    "recbole": Format(
        *("shop.inter", "shop.item", _ATOMIC, b"\t", False, _delimited("\t", False)),
        lambda folder: RecBole(str(folder / "shop.inter")),
    ),
    "taobao": Format(
        "UserBehavior.csv", None, ([], []), b",", False, _taobao, lambda folder: Taobao(str(folder / "UserBehavior.csv"))
    ),
}


_TEXTS = (pl.String, pl.Binary, pl.Categorical)
_TIMES: list[Callable[[pl.Expr], pl.Expr]] = [
    *(lambda times, t=dtype: times.cast(t, strict=False) for dtype in (pl.Int64, pl.Float64, pl.Int32)),  # type: ignore[misc]
    *(lambda times, t=dtype: times.cast(pl.String).cast(t) for dtype in _TEXTS),  # type: ignore[misc]
    lambda times: (times * 1000).cast(pl.Datetime("ms")),
]
_UNUSUAL_TYPES: list[Callable[[pl.Expr], pl.Expr]] = [
    lambda number: number.cast(pl.Duration("ms")),
    lambda number: number.cast(pl.Int64).cast(pl.Time),
    lambda number: (number + 2**60).cast(pl.Datetime("ms")),
    lambda number: (2**31 - 1 - number).cast(pl.Date),
    lambda number: (number + FIRST).cast(pl.Datetime("us")),
    lambda number: pl.lit(b"\xff") + number.cast(pl.String).cast(pl.Binary),
]
"""Columns of types other than text, or that cannot be converted to text."""


def parquet(rng: random.Random, files: tuple[Path, Path]) -> tuple[bytes, bytes, Any]:
    """Return events and items as Parquet, and the valid times, the valid item ids and the number of rows per file."""
    events, items = _rows(rng)
    frame = pl.DataFrame(events)
    damaged = rng.sample(range(len(events)), rng.randint(0, 4))
    flags = pl.Series([n in damaged for n in range(len(events))])
    column = rng.choice(["user_id", "item_id", "rating", "timestamp"])
    if column in ("user_id", "item_id"):
        value: Any = pl.lit(rng.choice([None, "", "  ", "\t"]), pl.String)
    elif column == "rating":
        value = pl.lit(rng.choice([float("nan"), float("inf"), -float("inf"), 1e300]))
    else:
        value = pl.lit(rng.choice([None, -1, 0, 2**62]), pl.Int64)
    frame = frame.with_columns(pl.when(flags).then(value).otherwise(pl.col(column)).alias(column))
    frame = frame.with_columns(rng.choice(_TIMES)(pl.col("timestamp")))
    frame = frame.with_columns(pl.col(c).cast(pl.String).cast(rng.choice(_TEXTS)) for c in ("user_id", "item_id", "rating"))
    if rng.random() < 0.3:
        frame = frame.with_columns(text=pl.when(flags).then(pl.lit(b"caf\xe9")).otherwise(pl.col("text").cast(pl.Binary)))
    elif rng.random() < 0.5:
        number = pl.int_range(pl.len(), dtype=pl.Int32)
        frame = frame.with_columns(
            text=rng.choice(_UNUSUAL_TYPES[:-1])(number), extra=rng.choice(_UNUSUAL_TYPES)(number), more=pl.lit([[1, 2]])
        )
    out = []
    for part in (frame, pl.DataFrame(items)):
        buffer = io.BytesIO()
        part.write_parquet(buffer, compression=rng.choice(["zstd", "snappy", "uncompressed", "lz4"]))
        out.append(buffer.getvalue())
    times = {FIRST + n for n in range(len(events)) if n not in damaged}
    rows = [(files[0], len(events)), (files[1], len(items))]
    return out[0], out[1], (times, {item["item_id"] for item in items}, rows)


def file_bytes(name: str, lines: list[bytes]) -> bytes:
    """Return lines as the bytes of a file, gzipped if its name ends with ``.gz``."""
    raw = b"".join(line + b"\n" for line in lines)
    return gzip.compress(raw, 1) if name.endswith(".gz") else raw
