"""Parse blocks of delimited text with Polars, where its result is certain to equal that of the exact readers.

Polars reads a CSV file many times faster than Python, but it fills short rows with nulls, guesses at misplaced quotes and does
not report line numbers. So each block is checked first: NumPy finds every quote, separator and newline, and Polars is given
only records that have the right number of fields, with all quotes where RFC 4180 puts them; it must return as many rows. The
exact readers parse the other records, and report the bad ones.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

LONGEST_FIELD = 1 << 20
"""Longest field in characters; the exact CSV reader gives up on a quote that is not closed after so many."""

_NEWLINE, _RETURN, _QUOTE = b'\n\r"'
_BOM = b"\xef\xbb\xbf"


EXACT_BYTES = 1 << 18
"""Bytes that an exact reader reads after an irregular record before Polars is tried again."""


class ParsedBlock(NamedTuple):
    """Rows at the start of a block.

    Attributes:
        frame: the columns as text, empty cells null, and ``line``.
        size: bytes that were parsed; complete records.
    """

    frame: pl.DataFrame
    size: int


def parse_block(number: int, block: bytes, separator: str, names: Sequence[str], *, quoted: bool) -> ParsedBlock | None:
    """Parse the regular records at the start of a block.

    A record is irregular if it has the wrong number of fields, a misplaced quote, a blank line, a carriage return that does
    not belong to a line end, or bytes that are not text.

    Args:
        number: line number of the first line, which must start a record.
        block: consecutive lines.
        separator: one ASCII character.
        names: names of the columns.
        quoted: whether fields may be quoted, and then contain separators and newlines.

    Returns:
        The rows before the first irregular record, or None if there are none.
    """
    # Polars drops a byte order mark at the start of whatever it reads, also where it is part of a value.
    if len(names) < 2 or block.startswith(_BOM):
        return None
    text = block[: _text_length(block)]
    data = np.frombuffer(text, np.uint8)
    newlines = np.flatnonzero(data == _NEWLINE)
    separators = np.flatnonzero(data == ord(separator))
    record_ends = newlines
    if quoted and b'"' in text:
        quotes = np.flatnonzero(data == _QUOTE)
        # An even number of quotes before a byte means that it is outside of quoted fields.
        record_ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        separators = separators[np.searchsorted(quotes, separators) % 2 == 0]
        irregular = _first_irregular_quote(data, quotes, ord(separator))
        record_ends = record_ends[: np.searchsorted(record_ends, irregular)]
    fields = np.diff(np.searchsorted(separators, record_ends), prepend=0) + 1
    wrong = (fields != len(names)) | (np.diff(record_ends, prepend=-1) > LONGEST_FIELD)
    record_ends = record_ends[: wrong.argmax()] if wrong.any() else record_ends
    if not len(record_ends):
        return None
    frame = _read_csv(text[: int(record_ends[-1]) + 1], separator, names, quoted)
    if frame is None or frame.height != len(record_ends):
        return None
    if separator.isspace() and (blank := _blank_rows(frame)).any():
        first = int(blank.arg_max() or 0)
        frame, record_ends = frame.head(first), record_ends[:first]
        if not first:
            return None
    starts = np.concatenate([[0], record_ends[:-1] + 1])
    lines = pl.Series(number + np.searchsorted(newlines, starts), dtype=pl.Int64)
    return ParsedBlock(frame.with_columns(line=lines), int(record_ends[-1]) + 1)


def _read_csv(text: bytes, separator: str, names: Sequence[str], quoted: bool) -> pl.DataFrame | None:
    """Return all columns as text, empty cells as null; None if Polars refuses the text."""
    try:
        frame = pl.read_csv(
            text,
            has_header=False,
            schema=dict.fromkeys(names, pl.String),
            separator=separator,
            quote_char='"' if quoted else None,
            infer_schema=False,
        )
    except pl.exceptions.PolarsError:
        return None
    return frame.select(pl.when(pl.col(name) != "").then(pl.col(name)).alias(name) for name in names)


def _text_length(block: bytes) -> int:
    """Return the bytes before the first that is not UTF-8, is NUL, or is a carriage return without a newline after it."""
    length = len(block)
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError as error:
            length = error.start
    if b"\0" in block:
        length = min(length, block.index(b"\0"))
    if b"\r" in block:
        data = np.frombuffer(block, np.uint8)
        returns = np.flatnonzero(data[:-1] == _RETURN)
        # The exact readers strip several carriage returns from a line end, and Polars one.
        lone = returns[(data[returns + 1] != _NEWLINE) | ((returns > 0) & (data[returns - 1] == _RETURN))]
        length = min([length, *lone[:1]])
        length = min(length, len(block) - block.endswith(b"\r"))
    return int(length)


def _first_irregular_quote(data: np.ndarray, quotes: np.ndarray, separator: int) -> int:
    """Return the position of the first field with a quote that does not open, close or escape as it should.

    Args:
        data: ``[n]`` uint8 text that starts at a record.
        quotes: ``[q]`` positions of the quotes.
        separator: byte between fields.

    Returns:
        The position of the quote that opens the field, or ``n``.
    """
    opening = quotes[::2]
    closing = quotes[1::2]
    padded = np.concatenate([data, [_NEWLINE]])
    # Two adjacent quotes close and open again: an escaped quote.
    good = np.isin(padded[opening - 1], (separator, _NEWLINE, _QUOTE))  # of the first byte, the padding
    good[: len(closing)] &= np.isin(padded[closing + 1], (separator, _NEWLINE, _RETURN, _QUOTE))
    good[len(closing) :] = False  # not closed
    return len(data) if good.all() else int(opening[good.argmin()])


def _blank_rows(frame: pl.DataFrame) -> pl.Series:
    """Return ``[rows]`` bool, which rows are white space alone: the exact readers take them for blank lines."""
    first, *others = (pl.col(name).str.strip_chars().fill_null("") == "" for name in frame.columns)
    blank = frame.select(first).to_series()
    return blank & frame.select(pl.all_horizontal(others)).to_series() if blank.any() else blank
