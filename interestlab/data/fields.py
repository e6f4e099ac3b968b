"""Fields as encoders read them: one code per item or event, and each distinct value preprocessed once."""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn
from rich.progress import track

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab.data import ragged
from interestlab.data.casting import is_scalar_type
from interestlab.data.event_store import EventStore
from interestlab.data.ragged import RaggedArray
from interestlab.errors import DataError
from interestlab.utils import artifact_store

VALUES_PER_CHUNK = 20_000
"""Values that are preprocessed at a time."""


class FieldValues:
    """One field of the items or of the events, as one encoder reads it.

    Args:
        codes: ``[items]`` or ``[events]`` int32 index of the distinct value of each row; -1 where it has none, or one that
            the encoder's ``preprocess`` turns into nothing.
        size: number of distinct values.
        folder: where everything computed from the distinct values is stored.
        rows: the preprocessed values; None for an encoder that reads indices.
    """

    def __init__(self, codes: np.ndarray, size: int, folder: Path, rows: RaggedArray | None = None) -> None:
        self.codes, self.size, self.folder, self.rows = codes, size, folder, rows

    @cached_property
    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """The codes that occur, ascending, and for each row with a value the position of its code among them."""
        values, inverse = np.unique(self.codes[self.codes >= 0], return_inverse=True)
        return values, inverse

    @cached_property
    def any_code(self) -> np.ndarray:
        """``[1]`` a code that occurs."""
        return self.codes[[np.argmax(self.codes >= 0)]]

    @cached_property
    def value_codes(self) -> dict[str, int]:
        """The code of each value that occurs."""
        values = pl.read_parquet(self.folder / "values.parquet", glob=False)["value"]
        codes, _ = self.distinct
        return dict(zip(values[codes], codes.tolist(), strict=True))

    def inputs(self, codes: np.ndarray) -> Inputs:
        """Return encoder inputs, padded to the longest among them.

        Args:
            codes: ``[U]`` int, of distinct values.
        """
        return Inputs(torch.from_numpy(codes.astype(np.int64))) if self.rows is None else self.rows.inputs(codes)


class FieldCodes(NamedTuple):
    """One field of a log; its distinct values are numbered in sorted order.

    Attributes:
        codes: ``[items]`` or ``[events]`` int32 index of the distinct value of each row; -1 where it has none.
        size: number of distinct values.
        values_dir: folder of the values and of everything computed from them, shared by all logs with the same values.
    """

    codes: np.ndarray
    size: int
    values_dir: Path


def field_codes(log: EventStore, name: str, cache_dir: Path) -> FieldCodes:
    """Number the distinct values of a field, once per log.

    Args:
        log: the event store.
        name: such as ``item.title+item.brand``.
        cache_dir: folder of all stores.

    Returns:
        The codes.

    Raises:
        DataError: the log has no such field.
    """
    side, columns = parse_field(name)
    if name == "item.id":
        frame, text = log.items.lazy(), pl.col("item_id")
    else:
        frame = log.items.lazy() if side == "item" else log.events
        available = [c for c, t in frame.collect_schema().items() if is_scalar_type(t)]
        if missing := [c for c in columns if c not in available]:
            raise DataError(f"field {name}: the {side}s have no column {', '.join(missing)}; they have {', '.join(available)}.")
        text = join_columns(columns)

    def write_codes(folder: Path) -> None:
        codes, size, values_dir = number_values(frame.select(text).collect().to_series(), cache_dir)
        artifact_store.save(folder, codes=codes)
        (folder / "values.json").write_text(json.dumps({"values": values_dir.name, "size": size}))

    folder = artifact_store.build_artifact(log.folder / "fields" / name, write_codes)
    meta = json.loads((folder / "values.json").read_text())
    return FieldCodes(artifact_store.load(folder, "codes"), meta["size"], cache_dir / "values" / meta["values"])


def number_values(texts: pl.Series, cache_dir: Path) -> FieldCodes:
    """Number the distinct texts of a column, and store them.

    Args:
        texts: the text of each row, null where it has none.
        cache_dir: folder of all stores.
    """
    column = texts.alias("value").to_frame()
    values = column.select(pl.col("value").drop_nulls().unique().sort())
    codes = column.join(values.with_row_index("code"), on="value", how="left", maintain_order="left")["code"]
    digest = hashlib.sha256(json.dumps(values["value"].to_list(), ensure_ascii=False).encode()).hexdigest()[:16]
    values_dir = cache_dir / "values" / digest
    artifact_store.build_artifact(values_dir, lambda draft: values.write_parquet(draft / "values.parquet"))
    return FieldCodes(codes.cast(pl.Int32).fill_null(-1).to_numpy(), values.height, values_dir)


def field_values(log: EventStore, encoder: Encoder, name: str, cache_dir: Path) -> FieldValues:
    """Preprocess the distinct values of a field for one encoder, once per ``preprocess_key``.

    Warns if the encoder's ``preprocess`` returns nothing for some values.

    Args:
        log: the event store.
        encoder: the encoder that will read the values.
        name: such as ``item.title+item.brand``.
        cache_dir: folder of all stores.

    Returns:
        The values.

    Raises:
        DataError: the log has no such field.
    """
    return preprocess_field(field_codes(log, name, cache_dir), encoder, name)


def preprocess_field(field: FieldCodes, encoder: Encoder, name: str) -> FieldValues:
    """Preprocess the distinct values of a numbered field for one encoder, once per ``preprocess_key``.

    Args:
        field: the codes and values.
        encoder: the encoder that will read the values.
        name: name of the field.
    """
    codes, size, values_dir = field
    if encoder.preprocess_key is None:
        return FieldValues(codes, size, values_dir)
    key = artifact_store.fingerprint(preprocess=encoder.preprocess_key)

    def write_rows(draft: Path) -> None:
        _preprocess_values(draft, values_dir, encoder.preprocess, name)

    rows = RaggedArray(artifact_store.build_artifact(values_dir / f"rows-{key}", write_rows))
    empty = rows.lengths == 0
    if not empty.any():
        return FieldValues(codes, size, values_dir, rows)
    values = pl.scan_parquet(values_dir / "values.parquet", glob=False)
    first = values.slice(int(empty.argmax()), 1).collect()["value"][0]
    rank_zero_warn(
        f"field {name}: {type(encoder).__name__} finds nothing in {empty.sum():,} of {len(empty):,} values, such as "
        f"'{first[:60]}'; they count as missing."
    )
    return FieldValues(np.where(empty[codes], np.int32(-1), codes), size, values_dir, rows)


def drop_rare_values(values: FieldValues, name: str, counts: np.ndarray, min_count: int) -> FieldValues:
    """Treat values that occur in few training events as missing.

    Args:
        values: a field of the items.
        name: name of the field.
        counts: ``[items]`` training events of each item.
        min_count: smallest number of training events of the items with a value.

    Returns:
        The same values with fewer codes.

    Raises:
        DataError: it is a field of the events.
    """
    if not name.startswith("item."):
        raise DataError(f"min_count={min_count} of the encoder of {name}: only values of an item field can be counted.")
    present = values.codes >= 0
    events = np.bincount(values.codes[present], weights=counts[present], minlength=values.size)
    frequent = present & (events[values.codes] >= min_count)
    return FieldValues(np.where(frequent, values.codes, np.int32(-1)), values.size, values.folder, values.rows)


def join_columns(columns: Sequence[str]) -> pl.Expr:
    """Join the texts of columns with spaces; null where all are null or empty.

    Args:
        columns: names, in order.
    """
    text = pl.concat_str([pl.col(c).cast(pl.String) for c in columns], separator=" ", ignore_nulls=True)
    return pl.when(text != "").then(text)


def parse_field(name: str) -> tuple[str, list[str]]:
    """Parse the name of a field.

    Args:
        name: such as ``item.title+item.brand``.

    Returns:
        The side, ``item`` or ``event``, and its columns.

    Raises:
        DataError: the name does not have this form.
    """
    parts = [part.partition(".") for part in name.split("+")]
    sides = {side for side, _, _ in parts}
    if len(sides) != 1 or not sides <= {"item", "event"} or not all(column for *_, column in parts):
        raise DataError(f"'{name}' is not a field: write item.COLUMN or event.COLUMN, and join columns of one side with +.")
    return sides.pop(), [column for *_, column in parts]


def _preprocess_values(
    folder: Path, values_dir: Path, preprocess: Callable[[Sequence[str]], list[np.ndarray]], name: str
) -> None:
    values = pl.read_parquet(values_dir / "values.parquet", glob=False)["value"]
    starts = range(0, len(values), VALUES_PER_CHUNK)
    tracked = track(starts, f"preprocessing {len(values):,} values of {name}", disable=len(starts) < 2)
    ragged.write(folder, (preprocess(values[start : start + VALUES_PER_CHUNK].to_list()) for start in tracked))
