"""What was read from one file: its rows, and the rejected lines."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from interestlab.errors import DataError
from interestlab_sources import lines
from interestlab_sources.lines import Block, Line, line_blocks, numbered_lines
from interestlab_sources.spool import Spool

ORIGIN = ("file", "line")
"""Where a row came from. A data column with one of these names is dropped."""


class Table:
    """Rows of text and rejected lines of a line-based file.

    Args:
        path: the file.
        columns: names of columns that the table has even without a row.

    Attributes:
        path: the file.
        columns: names of the columns so far, as the keys of a dict.
    """

    def __init__(self, path: Path, columns: Sequence[str] = ()) -> None:
        self.path = path
        self.columns = dict.fromkeys(columns)
        self._rows = Spool(dict.fromkeys(columns, pl.String) | {"line": pl.Int64})
        self._rejected = Spool({"line": pl.Int64, "reason": pl.String})
        self._pending: list[tuple[int, str]] = []

    def lines(self) -> Iterator[Line]:
        """Read the file's lines, and reject those that cannot be read."""
        return numbered_lines(self.path, self.reject)

    def blocks(self) -> Iterator[Block]:
        """Read the file as blocks of lines, and reject lines that cannot be read."""
        return line_blocks(self.path, self.reject)

    def add(self, numbers: Sequence[int], values: Mapping[str, Sequence[str | None]]) -> None:
        """Append rows.

        Args:
            numbers: line number of each row.
            values: column -> one text per row.
        """
        values = {name: texts for name, texts in values.items() if name not in ORIGIN}
        schema = dict.fromkeys(values, pl.String) | {"line": pl.Int64}
        self.add_frame(pl.DataFrame({**values, "line": numbers}, schema=schema))

    def add_frame(self, frame: pl.DataFrame) -> None:
        """Append rows.

        Args:
            frame: columns of text, and ``line``.
        """
        frame = frame.drop("file", strict=False)
        self.columns |= dict.fromkeys(name for name in frame.columns if name != "line")
        self._rows.add(frame)

    def reject(self, line: int, reason: str) -> None:
        """Record that a line is not a row.

        Args:
            line: its number.
            reason: why.
        """
        self._pending.append((line, reason))
        if len(self._pending) >= lines.CHUNK:
            self._flush()

    def first_reason(self) -> str | None:
        """Return why the first rejected line was rejected, if there is one."""
        self._flush()
        first = self._rejected.lazy().head(1).collect()
        return None if first.is_empty() else f"line {first['line'][0]}: {first['reason'][0]}"

    def rows(self) -> pl.LazyFrame:
        """Return the rows, with ``file`` and ``line``; all other columns are text.

        Raises:
            DataError: the file contains neither a row nor a rejected line.
        """
        self._flush()
        if not self._rows.num_rows and not self._rejected.num_rows:
            raise DataError(f"{self.path}: no rows; check that it is the right file")
        return self._with_file(self._rows)

    def rejected(self) -> pl.LazyFrame:
        """Return ``file``, ``line`` and ``reason`` of each rejected line."""
        self._flush()
        return self._with_file(self._rejected).select("file", "line", "reason")

    def _with_file(self, spool: Spool) -> pl.LazyFrame:
        return spool.lazy().with_columns(file=pl.lit(str(self.path), dtype=pl.String))

    def _flush(self) -> None:
        if self._pending:
            self._rejected.add(pl.DataFrame(self._pending, schema={"line": pl.Int64, "reason": pl.String}, orient="row"))
            self._pending = []


def concat_rejected(tables: Sequence[Table | None]) -> pl.LazyFrame:
    """Return the rejected lines of several files.

    Args:
        tables: one per file; None is skipped.
    """
    return pl.concat([table.rejected() for table in tables if table is not None])
