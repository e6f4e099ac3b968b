"""A source: the events of a CSV file."""

from pathlib import Path

import polars as pl
from interestlab.errors import DataError
from interestlab.contract import EventLog, Source


class MyPlugin(Source):
    """A CSV file of events, with a header. Columns beyond the common schema are kept, and become fields.

    Args:
        path: the file.
        columns: name in the common schema -> name in the file, where the two differ, e.g. ``user_id: customer``.
        separator: what stands between two values.
    """

    version = 1  # raised when the same file would read differently

    def __init__(self, path: str, columns: dict[str, str] | None = None, separator: str = ",") -> None:
        self.path, self.columns, self.separator = path, columns or {}, separator

    def files(self) -> list[Path]:
        return [Path(self.path).expanduser()]

    def read(self) -> EventLog:
        (file,) = self.files()
        try:
            # All as texts: the data layer reads numbers and times, and tells which rows are bad.
            rows = pl.read_csv(file, separator=self.separator, infer_schema=False)
        except (OSError, pl.exceptions.PolarsError) as err:
            raise DataError(
                f"{file}: cannot be read as CSV ({str(err).splitlines()[0]}); check the path and the separator"
            ) from err
        absent = [name for name in self.columns.values() if name not in rows.columns]
        if absent:
            raise DataError(f"{file}: has no column {', '.join(absent)}; it has {', '.join(rows.columns)}")
        kept = set(rows.columns) - set(self.columns.values())
        if twice := sorted(kept & set(self.columns)):
            raise DataError(f"{file}: has a column {', '.join(twice)} already; leave it out of columns")
        return EventLog(rows.rename({theirs: ours for ours, theirs in self.columns.items()}).lazy())
