"""Scan Parquet files. Their columns are typed already, so rows are passed on as they are."""

from pathlib import Path

import polars as pl

from interestlab.errors import DataError
from interestlab_sources.table import ORIGIN


def scan_parquet(path: Path) -> tuple[pl.LazyFrame, list[str]]:
    """Scan a Parquet file.

    Args:
        path: a readable file.

    Returns:
        The rows with ``file`` and ``line`` (row number, from 1), and the names of the file's own columns.

    Raises:
        DataError: the file is not Parquet, is corrupted, or has no rows.
    """
    try:
        # glob=False: brackets in a path are part of it. Decode every page once, since a corrupted one would otherwise
        # raise in the middle of whatever reads the frame later.
        frame = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        names = [name for name in frame.collect_schema().names() if name not in ORIGIN]
        decoded = frame.select(pl.len(), pl.all().null_count().name.suffix("_nulls")).collect(engine="streaming")
        height = decoded.item(0, 0)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: is not Parquet, or is corrupted ({reason}); download or write it again") from error
    if not height:
        raise DataError(f"{path}: no rows; check that it is the right file")
    rows = frame.select(names).with_row_index("line", offset=1)
    return rows.with_columns(pl.col("line").cast(pl.Int64), file=pl.lit(str(path), dtype=pl.String)), names
