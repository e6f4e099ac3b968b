"""Map the columns of a user's files to the common schema."""

import difflib
from collections.abc import Collection, Mapping, Sequence

import polars as pl

from interestlab.errors import DataError

REQUIRED = ("user_id", "item_id", "timestamp")

MAX_COLUMNS = 1000
"""A file with more columns is not the table of a log; each would become a field, and together they would fill the memory."""


def check_header(path: object, names: Sequence[str]) -> None:
    """Check that column names are distinct, and at most :data:`MAX_COLUMNS`.

    Args:
        path: path of the file, for the error.
        names: names of its columns.

    Raises:
        DataError: names the duplicates.
    """
    if len(names) > MAX_COLUMNS:
        raise DataError(f"{path}: the header names {len(names):,} columns, over {MAX_COLUMNS:,}; remove those you do not need")
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: the header names {', '.join(duplicates)} twice; rename one")


def check_mapping(columns: Mapping[str, str], tables: Mapping[str, Collection[str]]) -> None:
    """Check that every mapped column exists in at least one file.

    Args:
        columns: common name -> name in the file.
        tables: path -> its columns.

    Raises:
        DataError: lists the available columns and suggests the most similar.
    """
    available = dict.fromkeys(name for names in tables.values() for name in names)
    for common, name in columns.items():
        if name not in available:
            similar = difflib.get_close_matches(name, available, n=1)
            hint = f"did you mean '{similar[0]}'? " if similar else ""
            raise DataError(f"{' and '.join(tables)}: no column '{name}' for {common}; {hint}columns: {', '.join(available)}")


def check_required(path: object, names: Collection[str], required: Collection[str]) -> None:
    """Check that a table has the required columns of the common schema.

    Args:
        path: path of the file, for the error.
        names: names of its columns, after mapping.
        required: names that must be among them.

    Raises:
        DataError: lists the available columns.
    """
    if missing := [name for name in required if name not in names]:
        raise DataError(
            f"{path}: no column {' or '.join(missing)}; name yours in `columns`, "
            f"e.g. {missing[0]}: NAME; columns: {', '.join(names)}"
        )


def map_names(names: Collection[str], columns: Mapping[str, str]) -> dict[str, str]:
    """Apply a mapping to the columns of a file.

    A mapped column takes its common name, and an unmapped column of that name is dropped; the others keep their names.

    Args:
        names: names of the file's columns.
        columns: common name -> name in the file; pairs whose column the file lacks are ignored.

    Returns:
        New name -> name in the file.
    """
    mapped = {common: name for common, name in columns.items() if name in names}
    others = {name: name for name in names if name not in mapped and name not in mapped.values()}
    return mapped | others


def rename(frame: pl.LazyFrame, names: Mapping[str, str]) -> pl.LazyFrame:
    """Select and rename columns, and keep ``file`` and ``line``.

    Args:
        frame: rows of a file.
        names: names from :func:`map_names`.
    """
    return frame.select(*(pl.col(old).alias(new) for new, old in names.items()), "file", "line")
