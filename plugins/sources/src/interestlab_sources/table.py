"""What was read from one file: its rows, and the lines that are none."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from interestlab.errors import DataError
from interestlab_sources import lines
from interestlab_sources.lines import Line, numbered_lines
from interestlab_sources.spool import Spool

ORIGIN = ("file", "line")
"""Where a row came from. A column of the data that has one of these names gives way."""


class Table:
    """Rows of text and rejected lines of a line-based file.

    Args:
        path: the file.
        columns: those that the table has even without a row.
    """

    def __init__(self, path: Path, columns: Sequence[str] = ()) -> None:
        self.path = path
        self.columns = dict.fromkeys(columns)
        self._rows = Spool(dict.fromkeys(columns, pl.String) | {"line": pl.Int64})
        self._rejected = Spool({"line": pl.Int64, "reason": pl.String})
        self._pending: list[tuple[int, str]] = []

    def lines(self) -> Iterator[Line]:
        """The file's lines; a break in it is rejected here."""
        return numbered_lines(self.path, self.reject)

    def add(self, numbers: Sequence[int], values: Mapping[str, Sequence[str | None]]) -> None:
        """Append the rows that stand at the lines ``numbers``, one sequence of texts a column."""
        values = {name: texts for name, texts in values.items() if name not in ORIGIN}
        schema = dict.fromkeys(values, pl.String) | {"line": pl.Int64}
        self.add_frame(pl.DataFrame({**values, "line": numbers}, schema=schema))

    def add_frame(self, frame: pl.DataFrame) -> None:
        """Append rows as a frame of texts with the column ``line``."""
        self.columns |= dict.fromkeys(name for name in frame.columns if name != "line")
        self._rows.add(frame)

    def reject(self, line: int, reason: str) -> None:
        """Note that ``line`` is no row."""
        self._pending.append((line, reason))
        if len(self._pending) >= lines.CHUNK:
            self._flush()

    def first_reason(self) -> str | None:
        """Why the first rejected line was rejected, if there is one."""
        self._flush()
        first = self._rejected.lazy().head(1).collect()
        return None if first.is_empty() else f"line {first['line'][0]}: {first['reason'][0]}"

    def rows(self) -> pl.LazyFrame:
        """The rows, all columns texts, with ``file`` and ``line``.

        Raises:
            DataError: the file holds neither a row nor a rejected line.
        """
        self._flush()
        if not self._rows.rows and not self._rejected.rows:
            raise DataError(f"{self.path}: no rows; check that it is the right file")
        return self._named(self._rows)

    def rejected(self) -> pl.LazyFrame:
        """``file``, ``line``, ``reason`` of each line that is no row."""
        self._flush()
        return self._named(self._rejected).select("file", "line", "reason")

    def _named(self, spool: Spool) -> pl.LazyFrame:
        return spool.lazy().with_columns(file=pl.lit(str(self.path), dtype=pl.String))

    def _flush(self) -> None:
        if self._pending:
            self._rejected.add(pl.DataFrame(self._pending, schema={"line": pl.Int64, "reason": pl.String}, orient="row"))
            self._pending = []


def joined(tables: Sequence[Table | None]) -> pl.LazyFrame:
    """The rejected lines of several files."""
    return pl.concat([table.rejected() for table in tables if table is not None])
