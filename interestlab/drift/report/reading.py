"""The tables of an analysis, as the page may tell them."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE, VERDICTS
from interestlab.errors import DataError

TABLES = ("users", "shares", "trends", "flows", "changes", "segments", "moves", "audiences", "map", "timelines")


@dataclass(frozen=True)
class Tables:
    """The tables by name, and what ``meta.json`` tells.

    Of users without enough evidence only the count stays: no page element can then show a number of theirs.
    """

    users: pl.DataFrame
    shares: pl.DataFrame
    trends: pl.DataFrame
    flows: pl.DataFrame
    changes: pl.DataFrame
    segments: pl.DataFrame
    moves: pl.DataFrame
    audiences: pl.DataFrame
    map: pl.DataFrame
    timelines: pl.DataFrame
    model: pl.DataFrame | None
    meta: dict[str, Any]
    counts: dict[str, int]

    @property
    def level(self) -> float:
        """The rate of false discoveries that was asked for."""
        return float(self.meta["level"])

    @cached_property
    def interests(self) -> list[str]:
        """Interests, the largest first: the order of colours, the same in every figure."""
        return self.ranked("interest") or sorted(set(self.flows["source"]) | set(self.flows["destination"]))

    def ranked(self, kind: str) -> list[str]:
        """Names of a kind, that of the largest mean share first."""
        mine = self.shares.filter(pl.col("kind") == kind).group_by("name").agg(pl.col("share").mean())
        return mine.sort("share", "name", descending=[True, False], nulls_last=True)["name"].to_list()

    @cached_property
    def windows(self) -> dict[int, tuple[Any, Any]]:
        """Start and end of each window."""
        known = self.shares.unique("window").sort("window")
        return {row["window"]: (row["start"], row["end"]) for row in known.iter_rows(named=True)}


def read(folder: Path) -> Tables:
    """The tables of a folder.

    Raises:
        DataError: one is missing.
    """
    for name in (*(f"{table}.parquet" for table in TABLES), "meta.json"):
        if not (folder / name).is_file():
            raise DataError(f"{folder} has no {name}; give a folder that `interestlab drift` wrote.")
    frames = {name: pl.read_parquet(folder / f"{name}.parquet", glob=False) for name in TABLES}
    users = frames["users"]
    counts = dict(users.group_by("verdict").len().iter_rows())
    told = users.filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
    frames["users"] = told
    for name in ("changes", "timelines"):
        frames[name] = frames[name].join(told, on="user_id", how="semi", maintain_order="left")
    ours = told.select(pl.col("user_id").alias("name")).with_columns(kind=pl.lit("user"))
    drawn = frames["map"]
    frames["map"] = pl.concat(
        [drawn.filter(pl.col("kind") == "interest"), drawn.join(ours, on=["kind", "name"], how="semi", maintain_order="left")]
    )
    frames["audiences"] = frames["audiences"].filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
    model = folder / "model.parquet"
    seen = pl.read_parquet(model).join(told, on="user_id", how="semi", maintain_order="left") if model.is_file() else None
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    return Tables(**frames, model=seen, meta=meta, counts={verdict: counts.get(verdict, 0) for verdict in VERDICTS})
