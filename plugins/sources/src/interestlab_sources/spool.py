"""Frames that may outgrow the memory."""

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

LIMIT = 256 << 20
"""Bytes of frames that are held in memory before they move to disk."""

_folders: list[TemporaryDirectory[str]] = []  # lazy frames point into these, so they live until the process ends


class Spool:
    """Collects frames in order, in memory first and in temporary Parquet files beyond :data:`LIMIT`."""

    def __init__(self, schema: dict[str, type[pl.DataType]]) -> None:
        self.rows = 0
        self._schema = schema
        self._held: list[pl.DataFrame] = []
        self._size = 0.0
        self._folder: Path | None = None
        self._written: list[Path] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Append ``frame``; its columns may differ from those before."""
        self._held.append(frame)
        self.rows += frame.height
        self._size += frame.estimated_size()
        if self._size > LIMIT:
            self._write()

    def lazy(self) -> pl.LazyFrame:
        """All rows; at least the columns of the schema, null where a frame had none."""
        scans = [pl.scan_parquet(path, glob=False) for path in self._written]
        held = [frame.lazy() for frame in self._held]
        return pl.concat([pl.LazyFrame(schema=self._schema), *scans, *held], how="diagonal")

    def _write(self) -> None:
        if self._folder is None:
            _folders.append(TemporaryDirectory(prefix="interestlab-"))
            self._folder = Path(_folders[-1].name)
        path = self._folder / f"{len(self._written):05}.parquet"
        pl.concat(self._held, how="diagonal").write_parquet(path, compression="lz4")
        self._written.append(path)
        self._held, self._size = [], 0.0
