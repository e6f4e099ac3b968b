"""CSV and TSV with a header, where a quoted field may hold separators and newlines."""

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from interestlab.errors import DataError
from interestlab_sources import lines
from interestlab_sources.columns import check_header
from interestlab_sources.lines import Line, fault
from interestlab_sources.table import Table

LONGEST_FIELD = 1 << 20
"""Characters of a field: a quote that is never closed is given up after so many."""

_AGAIN_A_LINE, _AGAIN_BESIDE = 20, 1_000_000
"""Lines that may be read again: for each line of the file, and besides."""


class _Feed:
    """Lines for ``csv.reader``, remembering those of the record at hand so that they can be read again."""

    def __init__(self, path: Path, read: Iterator[Line]) -> None:
        self._path = path
        self._lines = read
        self._left = _AGAIN_BESIDE
        self._again: deque[Line] = deque()
        self.taken: list[Line] = []
        self.fault: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        if reason := fault(line[1]):
            self.fault = self.fault or reason
            return line[1].decode(errors="replace") + "\n"
        return line[1].decode() + "\n"

    def begin(self) -> None:
        """Start a new record."""
        self.taken.clear()
        self.fault = None

    def keep_first(self) -> None:
        """Give all lines of the record but its first back, to be read again.

        Raises:
            DataError: so many were that quotes would make the file take the square of its length.
        """
        number = self.taken[0][0]
        self._left -= len(self.taken) - 1
        if self._left + _AGAIN_A_LINE * number < 0:
            raise DataError(f"{self._path}: quotes are opened and not closed, up to line {number}; double those in a field")
        self._again.extendleft(reversed(self.taken[1:]))


def _records(table: Table, separator: str) -> Iterator[tuple[int, list[str]]]:
    """First line and fields of each record that has as many fields as the first; the others are rejected."""
    csv.field_size_limit(LONGEST_FIELD)
    feed = _Feed(table.path, table.lines())
    # Strict: otherwise a quote that is never closed swallows the rows up to the next one without a word.
    reader = csv.reader(feed, delimiter=separator, strict=True)
    width = 0
    while True:
        feed.begin()
        fields: list[str] = []
        broken = None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            broken = f"not CSV: {error}"
        number, line = feed.taken[0]
        if len(feed.taken) == 1 and not line.strip():
            continue
        width = width or len(fields)
        if broken:
            table.reject(number, feed.fault or broken)
            feed.keep_first()
        elif feed.fault:
            table.reject(number, feed.fault)
        elif len(fields) != width:
            table.reject(number, f"{len(fields)} fields, not {width}")
        else:
            yield number, fields


def read_quoted(path: Path, separator: str) -> Table:
    """The columns are those of the header; an empty cell is null.

    Raises:
        DataError: the header cannot be read, or names a column twice, or far too many; or quotes are not closed throughout.
    """
    table = Table(path)
    records = _records(table, separator)
    _, header = next(records, (0, []))
    if not header or table.first_reason():
        raise DataError(f"{path}: no header ({table.first_reason() or 'no rows'}); its first line must name the columns")
    names = [name.strip() or f"column_{i}" for i, name in enumerate(header, 1)]
    check_header(path, names)
    numbers: list[int] = []
    rows: list[list[str]] = []

    def add() -> None:
        columns = zip(*rows, strict=True) if rows else ((),) * len(names)
        table.add(numbers, {name: [cell or None for cell in column] for name, column in zip(names, columns, strict=True)})
        numbers.clear()
        rows.clear()

    for number, fields in records:
        numbers.append(number)
        rows.append(fields)
        if len(rows) == lines.CHUNK:
            add()
    add()
    return table
