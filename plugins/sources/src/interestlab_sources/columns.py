"""The user's names of columns -> the common schema."""

import difflib
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from interestlab.errors import DataError

REQUIRED = ("user_id", "item_id", "timestamp")


MOST_COLUMNS = 1000
"""A file with more columns holds no table of a log: each becomes a field, and they would fill the memory."""


def check_header(path: object, names: Sequence[str]) -> None:
    """Refuse a header that names a column twice, or more columns than :data:`MOST_COLUMNS`.

    Raises:
        DataError: with the columns that stand there twice.
    """
    if len(names) > MOST_COLUMNS:
        raise DataError(f"{path}: the header names {len(names):,} columns, over {MOST_COLUMNS:,}; leave out what is not needed")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: the header names {', '.join(twice)} twice; rename one")


def check_mapping(columns: Mapping[str, str], tables: Mapping[str, Collection[str]]) -> None:
    """Refuse a mapping from a column that no file has.

    Args:
        columns: common name -> name in the file.
        tables: path -> its columns.

    Raises:
        DataError: with the columns there are and the nearest of them.
    """
    known = dict.fromkeys(name for names in tables.values() for name in names)
    for common, name in columns.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise DataError(f"{' and '.join(tables)}: no column '{name}' for {common}; {hint}columns: {', '.join(known)}")


def check_required(path: object, names: Collection[str], required: Collection[str]) -> None:
    """Refuse a table without the columns that the common schema demands.

    Raises:
        DataError: with the columns there are.
    """
    if missing := [name for name in required if name not in names]:
        raise DataError(
            f"{path}: no column {' or '.join(missing)}; name yours in `columns`, "
            f"e.g. {missing[0]}: NAME; columns: {', '.join(names)}"
        )


def renamed(names: Collection[str], columns: Mapping[str, str]) -> dict[str, str]:
    """New name -> old name of every column that stays.

    A mapped column takes its common name, also from a column that bore it; the others keep theirs.
    """
    mapped = {common: name for common, name in columns.items() if name in names}
    rest = {name: name for name in names if name not in mapped and name not in mapped.values()}
    return mapped | rest


def rename(frame: pl.LazyFrame, new: Mapping[str, str]) -> pl.LazyFrame:
    """``frame`` under the names of :func:`renamed`, with ``file`` and ``line``."""
    return frame.select(*(pl.col(old).alias(name) for name, old in new.items()), "file", "line")
