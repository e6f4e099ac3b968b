"""Read CSV and TSV with a header, where a quoted field may contain separators and newlines."""

import csv
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from interestlab.errors import DataError
from interestlab_sources import lines
from interestlab_sources.columns import check_header
from interestlab_sources.fast_parser import EXACT_BYTES, LONGEST_FIELD, parse_block
from interestlab_sources.lines import Line, LineReader, decoding_error
from interestlab_sources.table import Table

Record = tuple[int, list[str]]
"""Number of its first line, and its fields."""

_REREAD_PER_LINE, _REREAD_EXTRA = 20, 1_000_000
"""Lines that may be read again: per line of the file, and in addition."""


def read_quoted_csv(path: Path, separator: str) -> Table:
    """Read a table; its columns are those of the header, and an empty cell is null.

    Args:
        path: a readable file.
        separator: between fields, one ASCII character.

    Returns:
        The rows and the rejected lines.

    Raises:
        DataError: the header cannot be read, names a column twice or too many columns, or quotes are left open throughout.
    """
    table = Table(path)
    reader = _RecordReader(table, separator)
    _, header = next(reader.records, (0, []))
    if not header or table.first_reason():
        raise DataError(f"{path}: no header ({table.first_reason() or 'no rows'}); its first line must name the columns")
    names = [name.strip() or f"column_{i}" for i, name in enumerate(header, 1)]
    check_header(path, names)
    table.add([], {name: [] for name in names})
    while block := reader.lines.rest_of_block():
        number, text = block
        parsed = parse_block(number, text, separator, names, quoted=True)
        size = 0
        if parsed:
            table.add_frame(parsed.frame)
            size = parsed.size
            reader.lines.skip(size)
        if size < len(text):
            _add_exactly(table, names, reader.read(min(EXACT_BYTES, len(text) - size)))
    return table


def _add_exactly(table: Table, names: list[str], records: Iterator[Record]) -> None:
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


class _RecordReader:
    """Read the records of a file one by one with ``csv.reader``.

    Args:
        table: takes the rejected lines.
        separator: between fields.

    Attributes:
        lines: lines of the file.
        records: those with as many fields as the first one; the others are rejected.
    """

    def __init__(self, table: Table, separator: str) -> None:
        self.lines = LineReader(table.blocks())
        self._feed = _Feed(table.path, self.lines)
        self.records = _read_records(table, self._feed, separator)

    def read(self, size: int) -> Iterator[Record]:
        """Read at least ``size`` bytes of complete records, or all that are left."""
        end = self.lines.bytes_read + size
        for record in self.records:
            yield record
            if self.lines.bytes_read >= end and not self._feed.pushed_back:
                return


class _Feed:
    """Lines for ``csv.reader``, which remembers those of the current record so that they can be read again."""

    def __init__(self, path: Path, lines: LineReader) -> None:
        self._lines = lines
        self._path = path
        self._budget = _REREAD_EXTRA
        self.pushed_back: deque[Line] = deque()
        self.record: list[Line] = []
        self.reason: str | None = None

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.pushed_back.popleft() if self.pushed_back else next(self._lines)
        self.record.append(line)
        if reason := decoding_error(line[1]):
            self.reason = self.reason or reason
            return line[1].decode(errors="replace") + "\n"
        return line[1].decode() + "\n"

    def start_record(self) -> None:
        """Forget the lines of the previous record."""
        self.record.clear()
        self.reason = None

    def push_back_all_but_first(self) -> None:
        """Read all lines of the record but its first again.

        Raises:
            DataError: so many lines were read again that the time would grow with the square of the file's length.
        """
        number = self.record[0][0]
        self._budget -= len(self.record) - 1
        if self._budget + _REREAD_PER_LINE * number < 0:
            raise DataError(f"{self._path}: quotes are opened and not closed, up to line {number}; double those in a field")
        self.pushed_back.extendleft(reversed(self.record[1:]))


def _read_records(table: Table, feed: _Feed, separator: str) -> Iterator[Record]:
    csv.field_size_limit(LONGEST_FIELD)
    # Strict: otherwise a quote that is never closed silently swallows the rows up to the next quote.
    reader = csv.reader(feed, delimiter=separator, strict=True)
    width = 0
    while True:
        feed.start_record()
        fields: list[str] = []
        error = None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as csv_error:
            error = f"not CSV: {csv_error}"
        number, line = feed.record[0]
        if len(feed.record) == 1 and not line.strip():
            continue
        width = width or len(fields)
        if error:
            table.reject(number, feed.reason or error)
            feed.push_back_all_but_first()
        elif feed.reason:
            table.reject(number, feed.reason)
        elif len(fields) != width:
            table.reject(number, f"{len(fields)} fields, not {width}")
        else:
            yield number, fields
