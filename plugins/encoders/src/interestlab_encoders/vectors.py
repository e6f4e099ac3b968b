"""A file of keys and vectors."""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from interestlab.errors import DataError

CHUNK = 65_536
"""Vectors that are looked at at a time: an ``.npy`` may be larger than the memory."""


class Vectors:
    """The vectors of a Parquet, or of an ``.npy`` beside a text file of its name with the ending ``.keys``, by key.

    Args:
        file: where they are.
        key: the column of keys of a Parquet.
        columns: of the Parquet, lists or numbers, that make up a vector side by side; None: all but ``key``.
        standardize: bring every dimension to mean 0 and deviation 1 over the file.

    Attributes:
        width: of a vector.
        sha256: hash of the file.

    Raises:
        DataError: the file cannot be read, a key stands twice, widths differ, or a number is not finite.
    """

    def __init__(self, file: Path, key: str, columns: Sequence[str] | None, standardize: bool) -> None:
        keys, self.values = from_npy(file) if file.suffix == ".npy" else from_parquet(file, key, columns)
        if not self.values.size:
            raise DataError(f"{file}: there is no vector in it.")
        self.places = {key: place for place, key in enumerate(keys)}
        if len(self.places) < len(keys):
            twice = next(key for place, key in enumerate(keys) if self.places[key] != place)
            raise DataError(f"{file}: the key '{twice}' stands there twice; leave one vector for each.")
        self.width = self.values.shape[1]
        self.mean, self.deviation = np.zeros(self.width), np.ones(self.width)
        for start, part in self._parts():
            if (bad := ~np.isfinite(part).all(1)).any():
                raise DataError(f"{file}: the vector of '{keys[start + int(bad.argmax())]}' holds a number that is not finite.")
        if standardize:
            self.mean = sum(part.sum(0, dtype=np.float64) for _, part in self._parts()) / len(keys)
            square = sum(np.square(part - self.mean).sum(0) for _, part in self._parts()) / len(keys)
            self.deviation = np.where(square > 0, np.sqrt(square), 1)  # a dimension that never varies becomes zero
        self.sha256 = sha256(file)

    def _parts(self) -> Iterator[tuple[int, np.ndarray]]:
        starts = range(0, len(self.values), CHUNK)
        return ((start, self.values[start : start + CHUNK].astype(np.float32)) for start in starts)

    def __call__(self, wanted: Sequence[str]) -> list[np.ndarray]:
        """``[1, width]`` float32 of each key, ``[0, width]`` of one that is not there."""
        found = [[self.places[key]] if key in self.places else [] for key in wanted]
        return [((self.values[place] - self.mean) / self.deviation).astype(np.float32) for place in found]


def from_parquet(file: Path, key: str, columns: Sequence[str] | None) -> tuple[list[str], np.ndarray]:
    """Keys and vectors ``[keys, width]`` of a Parquet; a row without any number is left out."""
    try:
        schema = pl.scan_parquet(file, glob=False).collect_schema()
        columns = list(columns or (name for name in schema if name != key))
        if missing := [name for name in (key, *columns) if name not in schema]:
            raise DataError(f"{file}: no column {', '.join(missing)}; it has {', '.join(schema)}.")
        if schema[key].is_nested():
            raise DataError(f"{file}: the column {key} is {schema[key]}; name in `key` one of texts or numbers.")
        wrong = [name for name in columns if not getattr(schema[name], "inner", schema[name]).is_numeric()]
        if wrong or not columns:
            told = f"{', '.join(wrong)} of neither numbers nor lists of them" if columns else "no vectors"
            raise DataError(f"{file}: the columns are {told}; name in `columns` those that make up the vector.")
        frame = pl.read_parquet(file, columns=[key, *columns], glob=False)
    except (OSError, pl.exceptions.PolarsError) as err:
        raise DataError(f"{file}: no Parquet can be read there ({str(err).strip().partition(chr(10))[0]}).") from err
    given = frame.select(given=~pl.all_horizontal(pl.col(columns).is_null())).to_series()
    if not given.any():
        return [], np.empty((0, 0))
    keys = frame[key].cast(pl.String).str.strip_chars()
    if (lost := given & keys.is_null()).any():
        raise DataError(f"{file}: row {int(lost.arg_max() or 0) + 1} has a vector and no {key}.")
    frame, keys = frame.filter(given), keys.filter(given)
    return keys.to_list(), np.concatenate([numbers(file, keys, frame[name]) for name in columns], 1)


def numbers(file: Path, keys: pl.Series, column: pl.Series) -> np.ndarray:
    """A column of numbers ``[keys, 1]``, or of lists of them ``[keys, width]``; NaN where one is missing."""
    if column.dtype.is_nested():
        column = column.cast(pl.List(pl.Float32))
        widths = column.list.len().fill_null(0)
        if (other := widths != widths.mode()[0]).any():
            place = int(other.arg_max() or 0)
            told = f"has {widths[place]} numbers in {column.name}, where others have {widths.mode()[0]}"
            raise DataError(f"{file}: the vector of '{keys[place]}' {told}.")
        column = column.explode()
    return column.cast(pl.Float32).fill_null(float("nan")).to_numpy().reshape(len(keys), -1)


def from_npy(file: Path) -> tuple[list[str], np.ndarray]:
    """Keys and vectors ``[keys, width]`` of an ``.npy``, mapped into memory."""
    names = file.with_suffix(".keys")
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
        keys = names.read_text("utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as err:
        raise DataError(f"{file} or {names.name} beside it cannot be read ({str(err).partition(chr(10))[0]}).") from err
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DataError(f"{file}: numbers of shape [keys, width] are wanted.")
    if len(keys) != len(values):
        raise DataError(f"{names}: {len(keys):,} keys, one a line, for the {len(values):,} vectors of {file.name}.")
    return [key.strip() for key in keys], values


def sha256(file: Path) -> str:
    """Hash of the contents of a file, with those of the keys beside it."""
    digest = hashlib.sha256()
    for part in [file, file.with_suffix(".keys")] if file.suffix == ".npy" else [file]:
        with part.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
