"""One JSON object a line."""

from pathlib import Path
from typing import Any

import orjson

from interestlab.errors import DataError
from interestlab_sources.columns import MOST_COLUMNS
from interestlab_sources.lines import chunks, decoding_error
from interestlab_sources.table import Table


class NoRecordError(ValueError):
    """A line is no object of the kind that was looked for; the message is the reason."""


def parse_object(line: bytes) -> dict[str, Any]:
    """The object on ``line``.

    Raises:
        NoRecordError: it is not JSON, or not an object.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise NoRecordError(decoding_error(line) or f"not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(value, dict):
        raise NoRecordError("not a JSON object")
    return value


def text(value: Any) -> str | None:
    """A JSON value as text: words as they are, numbers in their digits, lists and objects as compact JSON.

    Raises:
        NoRecordError: it is nested too deeply to be written again.
    """
    if value is None or type(value) is str:
        return value
    if type(value) is int or type(value) is float:
        return repr(value)
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise NoRecordError("nested too deeply") from error


def read_jsonl(path: Path) -> Table:
    """Every key of every object becomes a column.

    Raises:
        DataError: no line is an object with a key, or there are over ``MOST_COLUMNS`` different keys.
    """
    table = Table(path)
    known: set[str] = set()
    for chunk in chunks(table.lines()):
        numbers: list[int] = []
        values: dict[str, list[str | None]] = {}
        for number, line in chunk:
            try:
                row = {key: text(value) for key, value in parse_object(line).items()}
            except NoRecordError as error:
                if line.strip():
                    table.reject(number, str(error))
                continue
            for key in row:
                if key not in values:
                    values[key] = [None] * len(numbers)
            for key, column in values.items():
                column.append(row.get(key))
            numbers.append(number)
            known |= row.keys()
            if len(known) > MOST_COLUMNS:
                raise DataError(
                    f"{path}: over {MOST_COLUMNS} different keys by line {number}; "
                    "give objects of one shape, with what varies as a nested value"
                )
        if numbers:
            table.add(numbers, values)
    if not table.columns and (reason := table.first_reason()):
        raise DataError(f"{path}: no row in it ({reason}); give one JSON object a line")
    return table
