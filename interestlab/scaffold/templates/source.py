"""A source: events from a CSV file."""

from pathlib import Path

import polars as pl
from interestlab.contract import EventLog, Source
from interestlab.errors import DataError


class MyPlugin(Source):
    """A CSV file of events, with a header. Columns outside of the common schema become fields.

    Args:
        path: path of the file.
        columns: names in the file by their names in the common schema, if they differ, such as ``user_id: customer``.
        separator: separator between values.
    """

    version = 1  # increase it when the same file would give other rows

    def __init__(self, path: str, columns: dict[str, str] | None = None, separator: str = ",") -> None:
        self.path, self.columns, self.separator = path, columns or {}, separator

    def files(self) -> list[Path]:
        return [Path(self.path).expanduser()]

    def read(self) -> EventLog:
        (file,) = self.files()
        try:
            # Everything as text: the data layer parses numbers and times and reports invalid rows.
            rows = pl.read_csv(file, separator=self.separator, infer_schema=False)
        except (OSError, pl.exceptions.PolarsError) as err:
            raise DataError(
                f"{file}: cannot be read as CSV ({str(err).splitlines()[0]}); check the path and the separator"
            ) from err
        missing = [name for name in self.columns.values() if name not in rows.columns]
        if missing:
            raise DataError(f"{file}: has no column {', '.join(missing)}; it has {', '.join(rows.columns)}")
        others = set(rows.columns) - set(self.columns.values())
        if duplicates := sorted(others & set(self.columns)):
            raise DataError(f"{file}: already has a column {', '.join(duplicates)}; remove it from columns")
        return EventLog(rows.rename({file_name: name for name, file_name in self.columns.items()}).lazy())
