"""The source ``files``: your own tables in Parquet, CSV, TSV and JSON lines."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl

from interestlab.contract import EventLog, Source
from interestlab.errors import DataError
from interestlab_sources.columns import REQUIRED, check_mapping, check_required, map_names, rename
from interestlab_sources.jsonl import read_jsonl
from interestlab_sources.parquet import scan_parquet
from interestlab_sources.paths import check_readable
from interestlab_sources.quoted_csv import read_quoted_csv
from interestlab_sources.table import Table

_LINE_BASED: dict[str, Callable[[Path], Table]] = {
    ".csv": partial(read_quoted_csv, separator=","),
    ".tsv": partial(read_quoted_csv, separator="\t"),
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
}


class Files(Source):
    """Your own tables: Parquet, CSV, TSV, JSONL or NDJSON by file extension; text formats also with ``.gz``.

    Further columns become fields.

    Args:
        interactions: file of the events, with ``user_id``, ``item_id``, ``timestamp`` (unix seconds), and optionally
            ``event``, ``rating``, ``text``, ``position``.
        items: file of the items, with ``item_id``, and optionally ``title``, ``description``, ``brand``, ``category``,
            ``price``.
        columns: name in the common schema -> name in the files, where the two differ, e.g. ``user_id: customer``.
    """

    def __init__(self, interactions: str, items: str | None = None, columns: dict[str, str] | None = None) -> None:
        self.interactions = interactions
        self.items = items
        self.columns = columns or {}

    def files(self) -> list[Path]:
        return [check_readable(path) for path in (self.interactions, self.items) if path is not None]

    def read(self) -> EventLog:
        paths = self.files()
        tables = [_read(path) for path in paths]
        check_mapping(self.columns, {str(path): names for path, (_, names, _) in zip(paths, tables, strict=True)})
        frames = []
        for path, (rows, names, _), required in zip(paths, tables, (REQUIRED, ("item_id",)), strict=False):
            mapped = map_names(names, self.columns)
            check_required(path, mapped, required)
            frames.append(rename(rows, mapped))
        rejected = [frame for _, _, frame in tables if frame is not None]
        return EventLog(
            events=frames[0],
            items=frames[1] if len(frames) > 1 else None,
            rejected=pl.concat(rejected) if rejected else None,
        )


def _read(path: Path) -> tuple[pl.LazyFrame, list[str], pl.LazyFrame | None]:
    """Return the rows, the names of the file's own columns, and the rejected lines."""
    name = path.name.lower()
    if name.endswith(".parquet"):
        rows, names = scan_parquet(path)
        return rows, names, None
    extension = Path(name.removesuffix(".gz")).suffix
    if extension not in _LINE_BASED:
        raise DataError(f"{path}: unknown file extension; give .parquet, or {', '.join(_LINE_BASED)}, these also with .gz")
    table = _LINE_BASED[extension](path)
    return table.rows(), list(table.columns), table.rejected()
