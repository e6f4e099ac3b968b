"""Read lines of fields between separators, without quotes."""

from collections.abc import Sequence

import polars as pl

from interestlab_sources.fast_parser import EXACT_BYTES, parse_block
from interestlab_sources.lines import LineReader, chunks, decoding_error, split_lines
from interestlab_sources.table import ORIGIN, Table


def add_delimited(table: Table, lines: LineReader, separator: str, names: Sequence[str]) -> None:
    """Add the lines to a table; an empty field is null.

    Args:
        table: takes the rows and the rejected lines.
        lines: those after the header, if there is one.
        separator: between fields, one ASCII character.
        names: names of the columns.
    """
    while block := lines.rest_of_block():
        number, text = block
        parsed = parse_block(number, text, separator, names, quoted=False)
        if parsed:
            table.add_frame(parsed.frame)
            lines.skip(parsed.size)
        else:
            size = text.find(b"\n", EXACT_BYTES) + 1 or len(text)
            _add_exactly(table, number, text[:size], separator, names)
            lines.skip(size)


def _add_exactly(table: Table, number: int, block: bytes, separator: str, names: Sequence[str]) -> None:
    """Add a block line by line, and reject those with the wrong number of fields."""
    fields = pl.col("text").str.strip_chars_end("\r").str.split(separator)
    columns = [pl.col("fields").list.get(i).replace("", None).alias(name) for i, name in enumerate(names) if name not in ORIGIN]
    complete = pl.col("fields").list.len() == len(names)
    for chunk in chunks(split_lines(number, block)):
        rows: list[tuple[int, str]] = []
        for line_number, line in chunk:
            if not line.strip():
                continue
            if reason := decoding_error(line):
                table.reject(line_number, reason)
            else:
                rows.append((line_number, line.decode()))
        numbers, texts = zip(*rows, strict=True) if rows else ((), ())
        frame = pl.DataFrame({"line": numbers, "text": texts}, schema={"line": pl.Int64, "text": pl.String})
        frame = frame.select("line", fields.alias("fields"))
        wrong = frame.filter(~complete).select("line", pl.col("fields").list.len())
        for line_number, count in wrong.iter_rows():
            table.reject(line_number, f"{count} fields, not {len(names)}")
        if wrong.height < frame.height:
            table.add_frame(frame.filter(complete).select(*columns, "line"))
