"""The source ``amazon``: Amazon reviews as published by McAuley et al., in the formats of 2014, 2018 and 2023."""

import ast
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from interestlab.contract import EventLog, Source
from interestlab_sources.jsonl import RecordError, parse_object, to_text
from interestlab_sources.lines import chunks, decoding_error
from interestlab_sources.paths import check_readable
from interestlab_sources.table import Table, concat_rejected

_REVIEW = ("user_id", "item_id", "timestamp", "rating", "text", "summary")
_ITEM = ("item_id", "title", "description", "brand", "category", "price")
_PRICE = re.compile(r"\$?([\d,]+(?:\.\d+)?)")

Row = tuple[str | None, ...]


class Amazon(Source):
    """Amazon reviews and metadata in the published formats of 2014, 2018 or 2023, detected line by line.

    Source: McAuley et al., https://jmcauley.ucsd.edu/data/amazon and https://amazon-reviews-2023.github.io.

    Args:
        path: the reviews, one object per line, plain or gzip.
        metadata: the items, in the same form; those of 2014 are Python literals rather than JSON.
    """

    def __init__(self, path: str, metadata: str | None = None) -> None:
        self.path = path
        self.metadata = metadata

    def files(self) -> list[Path]:
        return [check_readable(path) for path in (self.path, self.metadata) if path is not None]

    def read(self) -> EventLog:
        reviews, *metadata = self.files()
        events = _read(reviews, _REVIEW, _review)
        items = _read(metadata[0], _ITEM, _item) if metadata else None
        return EventLog(
            events=events.rows().with_columns(event=pl.lit("review")),
            items=None if items is None else items.rows(),
            rejected=concat_rejected([events, items]),
        )


def _read(path: Path, names: Sequence[str], row: Callable[[dict[str, Any]], Row]) -> Table:
    table = Table(path, names)
    for chunk in chunks(table.lines()):
        numbers: list[int] = []
        rows: list[Row] = []
        for number, line in chunk:
            try:
                rows.append(row(_parse(line)))
            except RecordError as error:
                if line.strip():
                    table.reject(number, str(error))
            else:
                numbers.append(number)
        if rows:
            table.add(numbers, dict(zip(names, zip(*rows, strict=True), strict=True)))
    return table


def _parse(line: bytes) -> dict[str, Any]:
    try:
        return parse_object(line)
    except RecordError:
        if not line.lstrip().startswith(b"{'"):
            raise
    try:
        with warnings.catch_warnings():  # invalid escapes in titles
            warnings.simplefilter("ignore")
            value = ast.literal_eval(line.decode().strip())
        return parse_object(orjson.dumps(value))  # through JSON, so that the result only has JSON types
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise RecordError(decoding_error(line) or "neither JSON nor a Python literal") from error


def _review(record: dict[str, Any]) -> Row:
    get = record.get
    if "reviewerID" in record:
        names = ("reviewerID", "asin", "unixReviewTime", "overall", "reviewText", "summary")
        return tuple([to_text(get(name)) for name in names])
    if "user_id" in record:
        item = get("parent_asin") or get("asin")
        return (
            to_text(get("user_id")),
            to_text(item),
            _seconds(get("timestamp")),
            to_text(get("rating")),
            to_text(get("text")),
            to_text(get("title")),
        )
    raise RecordError("not an Amazon review: neither reviewerID nor user_id")


def _seconds(milliseconds: Any) -> str | None:
    digits = to_text(milliseconds)
    if digits is None or not re.fullmatch(r"-?[0-9]{1,18}(\.0)?", digits):
        return digits
    return str(int(digits.removesuffix(".0")) // 1000)


def _item(record: dict[str, Any]) -> Row:
    get = record.get
    item = get("parent_asin") or get("asin")
    if item is None:
        raise RecordError("not an Amazon item: neither parent_asin nor asin")
    brand = get("brand") or get("store")
    return (
        to_text(item),
        to_text(get("title")),
        _prose(get("description")),
        to_text(brand),
        _category(record),
        _price(get("price")),
    )


def _prose(description: Any) -> str | None:
    if isinstance(description, list):
        return " ".join(part for part in map(to_text, description) if part) or None
    return to_text(description)


def _category(record: dict[str, Any]) -> str | None:
    """Return the most specific path, ``A > B > C``: 2014 has several, 2018 and 2023 have one, which may be empty."""
    path = record.get("categories") or record.get("category")
    if isinstance(path, list):
        path = max((part for part in path if isinstance(part, list)), key=len, default=path)
        path = " > ".join(part for part in map(to_text, path) if part)
    return to_text(path or record.get("main_category") or record.get("main_cat"))


def _price(price: Any) -> str | None:
    """Return the number in a price such as ``$1,299.00``; the files also contain ranges, words and HTML, which are dropped."""
    price_text = to_text(price)
    match = _PRICE.fullmatch(price_text.strip()) if price_text else None
    return match[1].replace(",", "") if match else None
