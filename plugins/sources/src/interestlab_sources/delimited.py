"""Lines split at a separator that never stands inside a field: no quotes, so Polars splits whole chunks."""

from collections.abc import Iterator, Sequence

import polars as pl

from interestlab_sources.lines import Line, chunks, fault
from interestlab_sources.table import ORIGIN, Table


def add_delimited(table: Table, lines: Iterator[Line], separator: str, names: Sequence[str]) -> None:
    """Add ``lines`` to ``table``, one column for each of ``names``; an empty field is null."""
    fields = pl.col("text").str.strip_chars_end("\r").str.split(separator)
    columns = [pl.col("fields").list.get(i).replace("", None).alias(name) for i, name in enumerate(names) if name not in ORIGIN]
    right = pl.col("fields").list.len() == len(names)
    for chunk in chunks(lines):
        rows: list[tuple[int, str]] = []
        for number, line in chunk:
            if not line.strip():
                continue
            if reason := fault(line):
                table.reject(number, reason)
            else:
                rows.append((number, line.decode()))
        numbers, texts = zip(*rows, strict=True) if rows else ((), ())
        frame = pl.DataFrame({"line": numbers, "text": texts}, schema={"line": pl.Int64, "text": pl.String})
        frame = frame.select("line", fields.alias("fields"))
        wrong = frame.filter(~right).select("line", pl.col("fields").list.len())
        for number, count in wrong.iter_rows():
            table.reject(number, f"{count} fields, not {len(names)}")
        if wrong.height < frame.height:
            table.add_frame(frame.filter(right).select(*columns, "line"))
