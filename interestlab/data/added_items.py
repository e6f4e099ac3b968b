"""Items that came after training: a table of further items, ranked beside those of the log."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from interestlab.contract import Encoder, EventLog
from interestlab.data.fields import FieldValues, join_columns, number_values, parse_field, preprocess_field
from interestlab.data.text_cleaning import Cleaning, clean_text_columns
from interestlab.data.validate import validate
from interestlab.errors import DataError
from interestlab.utils import artifact_store

EVENT_SCHEMA = {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64}


class AddedItems(NamedTuple):
    """Further items, in the columns of the log's items, cleaned like them.

    Attributes:
        rows: one row per item.
        positions: ``[rows]`` int64 index of each in the catalogue: its own if it
            exists already, otherwise after the end.
        digest: hash of the file.
    """

    rows: pl.DataFrame
    positions: np.ndarray
    digest: str

    def extend(self, items: pl.DataFrame) -> pl.DataFrame:
        """Return the larger catalogue: the items so far, some of them replaced, followed by the new ones.

        Args:
            items: the catalogue so far, in index order.
        """
        order = np.arange(max(items.height, self.positions.max(initial=-1) + 1))
        order[self.positions] = items.height + np.arange(self.rows.height)
        return pl.concat([items, self.rows])[order]


def read_item_table(file: Path) -> pl.DataFrame:
    """Read a table of items, and check every row.

    Args:
        file: Parquet, CSV, JSONL or NDJSON, with the columns of the items of a log.

    Returns:
        The columns of the file, those of the common schema in its types.

    Raises:
        DataError: the file cannot be read, or a row is invalid.
    """
    readers = {
        ".parquet": lambda: pl.read_parquet(file, glob=False),
        ".csv": lambda: pl.read_csv(file, infer_schema=False, glob=False),
        ".jsonl": lambda: pl.read_ndjson(file, infer_schema_length=None),
    }
    readers[".ndjson"] = readers[".jsonl"]
    if file.suffix.lower() not in readers:
        raise DataError(f"{file}: unknown file extension; give {', '.join(readers)}.")
    try:
        table = readers[file.suffix.lower()]()
    except (OSError, pl.exceptions.PolarsError) as err:
        raise DataError(f"{file} cannot be read: {' '.join(str(err).split())[:200]}; check the path and the format.") from err
    try:
        checked = validate(EventLog(pl.LazyFrame(schema=EVENT_SCHEMA), table.lazy()))
    except DataError as err:
        raise DataError(f"{file}: {err}") from err
    if checked.quarantine.height:
        _, line, reason = checked.quarantine.row(0)
        raise DataError(
            f"{file}: row {line}: {reason}; {checked.quarantine.height} of {table.height} rows are invalid, correct them."
        )
    if checked.items.is_empty():
        raise DataError(f"{file} contains no item.")
    return checked.items.select(c for c in checked.items.columns if c in table.columns)


def read_added_items(file: Path, items: pl.DataFrame, clean: Cleaning) -> AddedItems:
    """Read further items. Columns that the items of the log do not have are ignored.

    Args:
        file: the table.
        items: the catalogue so far, in index order.
        clean: text cleaning steps of the log.

    Raises:
        DataError: the file cannot be read, a row is invalid, or a column has another type than in the log.
    """
    return place_items(fit_schema(read_item_table(file), items.schema, file), items, clean, artifact_store.content_hash([file]))


def place_items(table: pl.DataFrame, items: pl.DataFrame, clean: Cleaning, digest: str) -> AddedItems:
    """Give each added item an index: its own if it exists, otherwise the next one.

    Args:
        table: the added items, in the columns of the log's items.
        items: the catalogue so far, in index order.
        clean: text cleaning steps of the log.
        digest: hash of the table's file.
    """
    index = {item: i for i, item in enumerate(items["item_id"])}
    new = iter(range(items.height, items.height + table.height))
    positions = np.array([index[item] if item in index else next(new) for item in table["item_id"]], np.int64)
    return AddedItems(clean_text_columns(table, clean, exclude=("item_id",)), positions, digest)


def fit_schema(table: pl.DataFrame, schema: pl.Schema, file: Path) -> pl.DataFrame:
    """Give a table the columns and types of another; columns that it lacks are null.

    Args:
        table: items.
        schema: columns of the items of a log.
        file: where the table was read, for an error.

    Raises:
        DataError: a value cannot be cast.
    """
    columns = []
    for name, dtype in schema.items():
        try:
            column = table[name].cast(dtype) if name in table.columns else pl.Series(name, [None], dtype)
        except pl.exceptions.PolarsError as err:
            raise DataError(f"{file}: {name} has another type than in the log, {dtype}: {str(err).splitlines()[0]}") from err
        columns.append(column if len(column) == table.height else column.new_from_index(0, table.height))
    return pl.DataFrame(columns)


def added_field_values(added: AddedItems, encoder: Encoder, name: str, log_values: FieldValues, cache_dir: Path) -> FieldValues:
    """Return one field of added items as an encoder reads it.

    Texts are numbered and preprocessed by themselves, so that what is computed from the values of the log stays as it is.
    An encoder that reads indices has an entry for the values of the log alone: any other counts as missing.

    Args:
        added: the items.
        encoder: the encoder that will read the values.
        name: name of the field, of the items.
        log_values: the same field of the log, for the same encoder.
        cache_dir: folder of all stores.
    """
    text = pl.col("item_id") if name == "item.id" else join_columns(parse_field(name)[1])
    texts = added.rows.select(text).to_series()
    if encoder.preprocess_key is None:
        codes = np.array([log_values.value_codes.get(text, -1) for text in texts], np.int32)
        return FieldValues(codes, log_values.size, log_values.folder)
    numbered = number_values(texts, cache_dir)
    return preprocess_field(numbered, encoder, name) if numbered.size else FieldValues(*numbered)
