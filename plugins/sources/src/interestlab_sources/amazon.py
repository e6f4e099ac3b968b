"""Amazon reviews as McAuley's group publishes them, in the forms of 2014, 2018 and 2023."""

import ast
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from interestlab.contract import EventLog, Source
from interestlab_sources.jsonl import NoRecordError, parse_object, text
from interestlab_sources.lines import chunks, decoding_error
from interestlab_sources.paths import readable
from interestlab_sources.table import Table, concat_rejected

_REVIEW = ("user_id", "item_id", "timestamp", "rating", "text", "summary")
_ITEM = ("item_id", "title", "description", "brand", "category", "price")
_PRICE = re.compile(r"\$?([\d,]+(?:\.\d+)?)")

Row = tuple[str | None, ...]


class Amazon(Source):
    """Amazon reviews and metadata in their published forms of 2014, 2018 or 2023, told apart line by line.

    Source: McAuley et al., https://jmcauley.ucsd.edu/data/amazon and https://amazon-reviews-2023.github.io.

    Args:
        path: the reviews, one object a line, plain or gzip.
        metadata: the items, likewise; those of 2014, which are Python rather than JSON, too.
    """

    def __init__(self, path: str, metadata: str | None = None) -> None:
        self.path = path
        self.metadata = metadata

    def files(self) -> list[Path]:
        return [readable(path) for path in (self.path, self.metadata) if path is not None]

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
            except NoRecordError as error:
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
    except NoRecordError:
        if not line.lstrip().startswith(b"{'"):
            raise
    try:
        with warnings.catch_warnings():  # of backslashes in titles
            warnings.simplefilter("ignore")
            value = ast.literal_eval(line.decode().strip())
        return parse_object(orjson.dumps(value))  # through JSON, so that only JSON's types come out
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise NoRecordError(decoding_error(line) or "neither JSON nor a Python literal") from error


def _review(record: dict[str, Any]) -> Row:
    get = record.get
    if "reviewerID" in record:
        names = ("reviewerID", "asin", "unixReviewTime", "overall", "reviewText", "summary")
        return tuple([text(get(name)) for name in names])
    if "user_id" in record:
        item = get("parent_asin") or get("asin")
        return (
            text(get("user_id")),
            text(item),
            _seconds(get("timestamp")),
            text(get("rating")),
            text(get("text")),
            text(get("title")),
        )
    raise NoRecordError("no Amazon review: neither reviewerID nor user_id")


def _seconds(milliseconds: Any) -> str | None:
    shown = text(milliseconds)
    if shown is None or not re.fullmatch(r"-?[0-9]{1,18}(\.0)?", shown):
        return shown
    return str(int(shown.removesuffix(".0")) // 1000)


def _item(record: dict[str, Any]) -> Row:
    get = record.get
    item = get("parent_asin") or get("asin")
    if item is None:
        raise NoRecordError("no Amazon item: neither parent_asin nor asin")
    brand = get("brand") or get("store")
    return text(item), text(get("title")), _prose(get("description")), text(brand), _category(record), _price(get("price"))


def _prose(description: Any) -> str | None:
    if isinstance(description, list):
        return " ".join(part for part in map(text, description) if part) or None
    return text(description)


def _category(record: dict[str, Any]) -> str | None:
    """The most specific path, ``A > B > C``: 2014 gives several, 2018 and 2023 one, which may be empty."""
    path = record.get("categories") or record.get("category")
    if isinstance(path, list):
        path = max((part for part in path if isinstance(part, list)), key=len, default=path)
        path = " > ".join(part for part in map(text, path) if part)
    return text(path or record.get("main_category") or record.get("main_cat"))


def _price(price: Any) -> str | None:
    """A number, also of ``$1,299.00``; ranges, words and the page's code, which the files hold too, are no price."""
    shown = text(price)
    match = _PRICE.fullmatch(shown.strip()) if shown else None
    return match[1].replace(",", "") if match else None
