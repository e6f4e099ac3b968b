"""Read JSON lines: one object per line.

Every line is parsed by orjson, not by Polars' NDJSON reader. That reader needs a schema in advance and drops keys that are not
in it, writes the number 5.0 as ``5``, and takes the first of duplicate keys where JSON parsers take the last.
"""

from pathlib import Path
from typing import Any

import orjson

from interestlab.errors import DataError
from interestlab_sources.columns import MAX_COLUMNS
from interestlab_sources.lines import chunks, decoding_error
from interestlab_sources.table import Table


class RecordError(ValueError):
    """A line does not contain an object of the expected kind; the message is the reason."""


def parse_object(line: bytes) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        line: without its newline.

    Raises:
        RecordError: the line is not JSON, or not an object.
    """
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RecordError(decoding_error(line) or f"not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(value, dict):
        raise RecordError("not a JSON object")
    return value


def to_text(value: Any) -> str | None:
    """Convert a JSON value to text: strings and numbers as they are, lists and objects as compact JSON.

    Args:
        value: parsed by orjson.

    Raises:
        RecordError: the value is nested too deeply to be serialised.
    """
    if value is None or type(value) is str:
        return value
    if type(value) is int or type(value) is float:
        return repr(value)
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError as error:
        raise RecordError("nested too deeply") from error


def read_jsonl(path: Path) -> Table:
    """Read a file; every key of every object becomes a column.

    Args:
        path: a readable file.

    Returns:
        The rows and the rejected lines.

    Raises:
        DataError: no line is an object with a key, or there are more than ``MAX_COLUMNS`` different keys.
    """
    table = Table(path)
    keys: set[str] = set()
    for chunk in chunks(table.lines()):
        numbers: list[int] = []
        values: dict[str, list[str | None]] = {}
        for number, line in chunk:
            try:
                row = {key: to_text(value) for key, value in parse_object(line).items()}
            except RecordError as error:
                if line.strip():
                    table.reject(number, str(error))
                continue
            for key in row:
                if key not in values:
                    values[key] = [None] * len(numbers)
            for key, column in values.items():
                column.append(row.get(key))
            numbers.append(number)
            keys |= row.keys()
            if len(keys) > MAX_COLUMNS:
                raise DataError(
                    f"{path}: over {MAX_COLUMNS} different keys by line {number}; "
                    "give objects with the same keys, and put varying ones into a nested object"
                )
        if numbers:
            table.add(numbers, values)
    if not table.columns and (reason := table.first_reason()):
        raise DataError(f"{path}: no rows ({reason}); give one JSON object per line")
    return table
