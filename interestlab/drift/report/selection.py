"""Which users are shown: those whose change is surest, in an order that the tables alone decide."""

from datetime import datetime
from typing import Any

import polars as pl

from interestlab.drift.report.reading import Tables
from interestlab.drift.verdicts import CHANGED, NO_CHANGE

UNTOLD = "no interest known"
TABLED, MAPPED, UNMOVED, EMBEDDED = 100, 14, 4, 10_000
"""Rows of the users' table; trajectories on the map of changed users, and of unchanged; rows to download."""


def surest(tables: Tables) -> pl.DataFrame:
    """Users that changed, by the smaller of their two q-values."""
    q = pl.min_horizontal("q_migration", "q_evolution").fill_null(1)
    hit = tables.users.filter(pl.col("verdict").is_in(CHANGED))
    return hit.with_columns(q=q).sort("q", "moved", "user_id", descending=[False, True, False], nulls_last=True)


def mapped(tables: Tables) -> pl.DataFrame:
    """Users on the map: the surest that changed, and a few that did not, for comparison."""
    named = tables.map.filter(pl.col("kind") == "user").select(user_id="name").unique()
    changed = surest(tables).drop("q").join(named, on="user_id", how="semi", maintain_order="left").head(MAPPED)
    rest = tables.users.filter(pl.col("verdict") == NO_CHANGE).join(named, on="user_id", how="semi")
    return pl.concat([rest.sort("events", "user_id", descending=[True, False]).head(UNMOVED), changed])


def chosen(tables: Tables) -> list[str]:
    """Ids of the users with a timeline, in the order of the table."""
    return tables.timelines["user_id"].unique(maintain_order=True).to_list()


def path(tables: Tables, user: str) -> pl.DataFrame:
    """``x`` and ``y`` of a user's windows on the map, in sequence."""
    mine = tables.map.filter((pl.col("kind") == "user") & (pl.col("name") == user))
    return mine.drop_nulls(["x", "y"]).sort("window").select("x", "y")


def sessions(tables: Tables, user: str) -> pl.DataFrame:
    """A chosen user's timeline in order; what is of no interest is named so."""
    mine = tables.timelines.filter(pl.col("user_id") == user)
    return mine.with_columns(pl.col("interest").fill_null(UNTOLD)).sort("at", maintain_order=True)


def seen(change: dict[str, Any]) -> datetime:
    """When a change-point is drawn: where the change is, or the moment at which an online detector says so."""
    return change["at"] if change["method"] == "offline" else change["seen_at"]


def emerging_or_fading(tables: Tables) -> pl.Expr:
    """Of a row of the trends: whether it is a finding."""
    told = (pl.col("verdict").fill_null("") != "") & pl.col("change").is_not_null()
    return told & (pl.col("q") <= tables.level).fill_null(False)
