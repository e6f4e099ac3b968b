"""Fields as encoders read them: a code for each item or event, and each distinct value prepared once."""

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
from interestlab.data.casting import is_value
from interestlab.data.event_store import EventStore
from interestlab.data.ragged import RaggedArray
from interestlab.errors import DataError
from interestlab.utils import artifact_store

CHUNK = 20_000
"""Values prepared at a time."""


class FieldValues:
    """One field of the items or of the events.

    Attributes:
        codes: ``[items]`` or ``[events]`` int32 which distinct value each row has; -1 where it has none, or one of which
            the encoder prepares nothing.
        size: number of distinct values.
        folder: where whatever is made once a value is kept.
        rows: each value as it was prepared; None where an encoder reads the index.
    """

    def __init__(self, codes: np.ndarray, size: int, folder: Path, rows: RaggedArray | None = None) -> None:
        self.codes, self.size, self.folder, self.rows = codes, size, folder, rows

    @cached_property
    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """The values that any row has, ascending, and which of them each row has that has one."""
        values, which = np.unique(self.codes[self.codes >= 0], return_inverse=True)
        return values, which

    @cached_property
    def some(self) -> np.ndarray:
        """``[1]`` a value that some row has."""
        return self.codes[[np.argmax(self.codes >= 0)]]

    def inputs(self, codes: np.ndarray) -> Inputs:
        """The values of ``codes [U]``, padded to the longest among them."""
        return Inputs(torch.from_numpy(codes.astype(np.int64))) if self.rows is None else self.rows.inputs(codes)


class Coded(NamedTuple):
    """One field of a log, whose distinct values are numbered in their order.

    Attributes:
        codes: ``[items]`` or ``[events]`` int32 which distinct value each row has; -1 where it has none.
        size: number of distinct values.
        home: folder of the values, and of whatever is made of them, for every log that has the same ones.
    """

    codes: np.ndarray
    size: int
    home: Path


def field_codes(log: EventStore, name: str, cache: Path) -> Coded:
    """One field of a log; its values are numbered once, and kept.

    Raises:
        DataError: the log has no such field.
    """
    side, columns = parse_field(name)
    if name == "item.id":
        frame, text = log.items.lazy(), pl.col("item_id")
    else:
        frame = log.items.lazy() if side == "item" else log.events
        known = [c for c, t in frame.collect_schema().items() if is_value(t)]
        if missing := [c for c in columns if c not in known]:
            raise DataError(f"field {name}: the {side}s have no column {', '.join(missing)}; they have {', '.join(known)}.")
        text = text_of(columns)

    def write_codes(folder: Path) -> None:
        column = frame.select(text.alias("value")).collect()
        values = column.select(pl.col("value").drop_nulls().unique().sort())
        codes = column.join(values.with_row_index("code"), on="value", how="left", maintain_order="left")["code"]
        artifact_store.save(folder, codes=codes.cast(pl.Int32).fill_null(-1).to_numpy())
        digest = hashlib.sha256(json.dumps(values["value"].to_list(), ensure_ascii=False).encode()).hexdigest()[:16]
        artifact_store.build_artifact(cache / "values" / digest, lambda home: values.write_parquet(home / "values.parquet"))
        (folder / "values.json").write_text(json.dumps({"values": digest, "size": values.height}))

    folder = artifact_store.build_artifact(log.folder / "fields" / name, write_codes)
    about = json.loads((folder / "values.json").read_text())
    return Coded(artifact_store.load(folder, "codes"), about["size"], cache / "values" / about["values"])


def field_values(log: EventStore, encoder: Encoder, name: str, cache: Path) -> FieldValues:
    """One field of a log as ``encoder`` reads it; what is prepared is prepared once, and kept.

    Raises:
        DataError: the log has no such field.
    """
    codes, size, home = field_codes(log, name, cache)
    if encoder.preprocess_key is None:
        return FieldValues(codes, size, home)
    key = artifact_store.fingerprint(preprocess=encoder.preprocess_key)
    prepared = RaggedArray(
        artifact_store.build_artifact(home / f"rows-{key}", lambda draft: write_rows(draft, home, encoder.preprocess, name))
    )
    void = prepared.lengths == 0
    if not void.any():
        return FieldValues(codes, size, home, prepared)
    first = pl.scan_parquet(home / "values.parquet", glob=False).slice(int(void.argmax()), 1).collect()["value"][0]
    rank_zero_warn(
        f"field {name}: {type(encoder).__name__} finds nothing in {void.sum():,} of {len(void):,} values, '{first[:60]}' the "
        "first; they count as missing."
    )
    return FieldValues(np.where(void[codes], np.int32(-1), codes), size, home, prepared)


def text_of(columns: Sequence[str]) -> pl.Expr:
    """The words of some columns, joined; null where there are none."""
    text = pl.concat_str([pl.col(c).cast(pl.String) for c in columns], separator=" ", ignore_nulls=True)
    return pl.when(text != "").then(text)


def parse_field(name: str) -> tuple[str, list[str]]:
    """``item.title+item.brand`` -> ``item`` and its columns.

    Raises:
        DataError: the name is not of that form.
    """
    parts = [part.partition(".") for part in name.split("+")]
    sides = {side for side, _, _ in parts}
    if len(sides) != 1 or not sides <= {"item", "event"} or not all(column for *_, column in parts):
        raise DataError(f"'{name}' is not a field: write item.COLUMN or event.COLUMN, and join columns of one side with +.")
    return sides.pop(), [column for *_, column in parts]


def write_rows(folder: Path, home: Path, preprocess: Callable[[Sequence[str]], list[np.ndarray]], name: str) -> None:
    """Prepare every distinct value, a chunk at a time."""
    values = pl.read_parquet(home / "values.parquet", glob=False)["value"]
    starts = range(0, len(values), CHUNK)
    shown = track(starts, f"preparing {len(values):,} values of {name}", disable=len(starts) < 2)
    ragged.write(folder, (preprocess(values[start : start + CHUNK].to_list()) for start in shown))
