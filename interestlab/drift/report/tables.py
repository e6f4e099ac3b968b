"""Read the tables of an analysis, without the rows that the report must not show."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from interestlab.drift.section import Section
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE, VERDICTS
from interestlab.errors import DataError


@dataclass(frozen=True)
class ReportTables:
    """Tables by name, and ``meta.json``. Users with insufficient evidence are only counted.

    Attributes:
        frames: tables by name.
        meta: metadata of the analysis.
        counts: number of users by verdict.
    """

    frames: Mapping[str, pl.DataFrame]
    meta: Mapping[str, Any]
    counts: Mapping[str, int]

    def __getitem__(self, name: str) -> pl.DataFrame:
        return self.frames[name]

    def __contains__(self, name: object) -> bool:
        return name in self.frames

    @property
    def level(self) -> float:
        """False discovery rate of the analysis."""
        return float(self.meta["significance_level"])

    @cached_property
    def interests(self) -> list[str]:
        """Interests by size: the order of colours, which is the same in every figure."""
        flows = self["flows"]
        return self.ranked_names("interest") or sorted(set(flows["source"]) | set(flows["destination"]))

    def ranked_names(self, kind: str) -> list[str]:
        """Sort the names of a kind by their mean share, the largest first.

        Args:
            kind: ``interest`` or ``brand``.

        Returns:
            Names.
        """
        means = self["shares"].filter(pl.col("kind") == kind).group_by("name").agg(pl.col("share").mean())
        return means.sort("share", "name", descending=[True, False], nulls_last=True)["name"].to_list()

    @cached_property
    def windows(self) -> dict[int, tuple[datetime, datetime]]:
        """Start and end of each calendar window."""
        windows = self["shares"].unique("window").sort("window")
        return {row["window"]: (row["start"], row["end"]) for row in windows.iter_rows(named=True)}


def read_tables(folder: Path, sections: Sequence[Section]) -> ReportTables:
    """Read the tables of some sections.

    Args:
        folder: output folder of ``interestlab drift``.
        sections: the sections to read.

    Returns:
        Rows that may be shown.

    Raises:
        DataError: a table is missing.
    """
    required = [f"{table}.parquet" for section in sections if not section.optional for table in section.tables]
    for name in (*required, "meta.json"):
        if not (folder / name).is_file():
            raise DataError(f"{folder} has no {name}; give a folder that `interestlab drift` wrote.")
    users = pl.read_parquet(folder / "users.parquet", glob=False)
    counts = dict(users.group_by("verdict").len().iter_rows())
    shown = users.filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
    frames = {}
    for section in sections:
        for name in section.tables:
            if (file := folder / f"{name}.parquet").is_file():
                frames[name] = section.restrict(name, pl.read_parquet(file, glob=False), shown)
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    return ReportTables(frames, meta, {verdict: counts.get(verdict, 0) for verdict in VERDICTS})
