"""Collect frames that may not fit into memory."""

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

MEMORY_LIMIT = 256 << 20
"""Bytes of frames in memory before they are moved to disk."""

_folders: list[TemporaryDirectory[str]] = []  # lazy frames scan these, so they exist until the process ends


class Spool:
    """Frames in order: in memory first, and in temporary Parquet files beyond :data:`MEMORY_LIMIT`.

    Args:
        schema: columns that the result has even if no frame has them.

    Attributes:
        num_rows: rows so far.
    """

    def __init__(self, schema: dict[str, type[pl.DataType]]) -> None:
        self.num_rows = 0
        self._schema = schema
        self._frames: list[pl.DataFrame] = []
        self._size = 0.0
        self._folder: Path | None = None
        self._files: list[Path] = []

    def add(self, frame: pl.DataFrame) -> None:
        """Append a frame.

        Args:
            frame: its columns may differ from those of other frames.
        """
        self._frames.append(frame)
        self.num_rows += frame.height
        self._size += frame.estimated_size()
        if self._size > MEMORY_LIMIT:
            self._move_to_disk()

    def lazy(self) -> pl.LazyFrame:
        """Return all rows; a column is null where a frame did not have it."""
        scans = [pl.scan_parquet(path, glob=False) for path in self._files]
        frames = [frame.lazy() for frame in self._frames]
        return pl.concat([pl.LazyFrame(schema=self._schema), *scans, *frames], how="diagonal")

    def _move_to_disk(self) -> None:
        if self._folder is None:
            _folders.append(TemporaryDirectory(prefix="interestlab-"))
            self._folder = Path(_folders[-1].name)
        path = self._folder / f"{len(self._files):05}.parquet"
        pl.concat(self._frames, how="diagonal").write_parquet(path, compression="lz4")
        self._files.append(path)
        self._frames, self._size = [], 0.0
