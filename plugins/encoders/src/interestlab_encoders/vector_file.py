"""Files of keys and vectors."""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from interestlab.errors import DataError

CHUNK = 65_536
"""Vectors that are processed at once: an ``.npy`` file may be larger than the memory."""


class VectorFile:
    """Vectors by key, from a Parquet file or from an ``.npy`` file next to a ``.keys`` text file of the same name.

    Args:
        file: path of the file.
        key: column of the keys in a Parquet file.
        columns: columns of a Parquet file, lists or numbers, that are concatenated to a vector; None: all except ``key``.
        standardize: scale each dimension to mean 0 and standard deviation 1 over the file.

    Attributes:
        width: width of a vector.
        sha256: hash of the file.

    Raises:
        DataError: the file cannot be read, a key appears twice, widths differ, or a number is not finite.
    """

    def __init__(self, file: Path, key: str, columns: Sequence[str] | None, standardize: bool) -> None:
        keys, self.values = read_npy(file) if file.suffix == ".npy" else read_parquet(file, key, columns)
        if not self.values.size:
            raise DataError(f"{file}: there is no vector in it; add at least one key with its vector.")
        self.index = {key: i for i, key in enumerate(keys)}
        if len(self.index) < len(keys):
            duplicate = next(key for i, key in enumerate(keys) if self.index[key] != i)
            raise DataError(f"{file}: the key '{duplicate}' appears twice; keep one vector for each key.")
        self.width = self.values.shape[1]
        self.mean, self.deviation = np.zeros(self.width), np.ones(self.width)
        for start, chunk in self._chunks():
            if (bad := ~np.isfinite(chunk).all(1)).any():
                bad_key = keys[start + int(bad.argmax())]
                raise DataError(
                    f"{file}: the vector of '{bad_key}' contains a number that is not finite; correct or remove it."
                )
        if standardize:
            self.mean = sum(chunk.sum(0, dtype=np.float64) for _, chunk in self._chunks()) / len(keys)
            variance = sum(np.square(chunk - self.mean).sum(0) for _, chunk in self._chunks()) / len(keys)
            self.deviation = np.where(variance > 0, np.sqrt(variance), 1)  # a constant dimension becomes zero
        self.sha256 = hash_file(file)

    def _chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """Iterate over chunks of vectors, with the index of the first."""
        starts = range(0, len(self.values), CHUNK)
        return ((start, self.values[start : start + CHUNK].astype(np.float32)) for start in starts)

    def look_up(self, keys: Sequence[str]) -> list[np.ndarray]:
        """Look up vectors.

        Args:
            keys: keys to look up, present in the file or not.

        Returns:
            per key, ``[1, width]`` float32, or ``[0, width]`` if the file has no such key.
        """
        rows = [[self.index[key]] if key in self.index else [] for key in keys]
        return [((self.values[row] - self.mean) / self.deviation).astype(np.float32) for row in rows]


def read_parquet(file: Path, key: str, columns: Sequence[str] | None) -> tuple[list[str], np.ndarray]:
    """Read keys and vectors from a Parquet file; rows whose columns are all null are skipped.

    Args:
        file: path of the file.
        key: column of the keys.
        columns: columns of the vectors; None: all except ``key``.

    Returns:
        keys, and vectors ``[keys, width]``.

    Raises:
        DataError: the file cannot be read or a column is missing or has the wrong type.
    """
    try:
        schema = pl.scan_parquet(file, glob=False).collect_schema()
        columns = list(columns or (name for name in schema if name != key))
        if missing := [name for name in (key, *columns) if name not in schema]:
            raise DataError(f"{file}: no column {', '.join(missing)}; it has {', '.join(schema)}.")
        if schema[key].is_nested():
            raise DataError(f"{file}: the key column {key} is {schema[key]}; set `key` to a column of texts or numbers.")
        wrong = [name for name in columns if not getattr(schema[name], "inner", schema[name]).is_numeric()]
        if wrong or not columns:
            problem = f"{', '.join(wrong)} contain neither numbers nor lists of numbers" if columns else "there are no vectors"
            raise DataError(f"{file}: {problem}; set `columns` to those that form the vector.")
        frame = pl.read_parquet(file, columns=[key, *columns], glob=False)
    except (OSError, pl.exceptions.PolarsError) as err:
        raise DataError(f"{file}: cannot be read as Parquet ({str(err).strip().partition(chr(10))[0]}).") from err
    has_vector = frame.select(has_vector=~pl.all_horizontal(pl.col(columns).is_null())).to_series()
    if not has_vector.any():
        return [], np.empty((0, 0))
    keys = frame[key].cast(pl.String).str.strip_chars()
    if (without_key := has_vector & keys.is_null()).any():
        raise DataError(f"{file}: row {int(without_key.arg_max() or 0) + 1} has a vector but no {key}.")
    frame, keys = frame.filter(has_vector), keys.filter(has_vector)
    return keys.to_list(), np.concatenate([_column_values(file, keys, frame[name]) for name in columns], 1)


def _column_values(file: Path, keys: pl.Series, column: pl.Series) -> np.ndarray:
    """Return numbers as ``[keys, 1]`` and lists as ``[keys, width]``; NaN where one is missing."""
    if column.dtype.is_nested():
        column = column.cast(pl.List(pl.Float32))
        widths = column.list.len().fill_null(0)
        if (different := widths != widths.mode()[0]).any():
            row = int(different.arg_max() or 0)
            problem = f"has {widths[row]} numbers in {column.name}, but others have {widths.mode()[0]}"
            raise DataError(f"{file}: the vector of '{keys[row]}' {problem}.")
        column = column.explode()
    return column.cast(pl.Float32).fill_null(float("nan")).to_numpy().reshape(len(keys), -1)


def read_npy(file: Path) -> tuple[list[str], np.ndarray]:
    """Read keys and memory-map the vectors of an ``.npy`` file.

    Args:
        file: path of the ``.npy`` file; the keys are in the file of the same name with the ending ``.keys``.

    Returns:
        keys, and vectors ``[keys, width]``.

    Raises:
        DataError: a file cannot be read, or the shapes do not match.
    """
    key_file = file.with_suffix(".keys")
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
        keys = key_file.read_text("utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as err:
        reason = str(err).partition(chr(10))[0]
        raise DataError(f"{file} or {key_file.name} next to it cannot be read ({reason}).") from err
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind not in "fiu":
        raise DataError(f"{file}: it must contain numbers of shape [keys, width].")
    if len(keys) != len(values):
        raise DataError(f"{key_file}: it has {len(keys):,} keys, one per line, but {file.name} has {len(values):,} vectors.")
    return [key.strip() for key in keys], values


def hash_file(file: Path) -> str:
    """Hash the contents of a file, and of the keys next to an ``.npy`` file.

    Args:
        file: path of the file.

    Returns:
        sha256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for path in [file, file.with_suffix(".keys")] if file.suffix == ".npy" else [file]:
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
