"""The table of users: how each one's interests moved and deepened, where the data can say so."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
from rich.progress import track
from scipy.special import comb

from interestlab.drift.attention import Attention
from interestlab.drift.evolution import evolution, p_evolution
from interestlab.drift.migration import migration
from interestlab.drift.population import moments
from interestlab.drift.settings import Settings
from interestlab.drift.verdicts import BOTH, EVOLVED, MIGRATED, STILL, UNKNOWN
from interestlab.stats.multiple_testing import benjamini_hochberg
from interestlab.stats.power import TARGET_POWER, homogeneity_test_power

BLOCK = 2_000
"""Users analysed at once: what is held in memory does not grow with the log."""

WORKERS = 4
"""Blocks at the same time, at most: each takes some hundred MiB."""

FINER = 20
"""Times as many permutations are drawn anew for those whose first p-value is below the level, or could hardly have been: what
corrects for many users needs small p-values told apart."""

KINDS = ("migration", "evolution")


def users(attention: Attention, ratio: np.ndarray, settings: Settings) -> pl.DataFrame:
    """Test every user. Costs events x permutations.

    Args:
        attention: of all users in their two windows.
        ratio: ``[P]`` drift of the catalogue (:func:`interestlab.drift.population.catalogue_drift`).
        settings: permutations, level, shift, seed.

    Returns:
        A row for each user, in their order. All that is estimated is null where the user has not enough evidence.
    """
    many, likeness, offsets = len(attention.panel.users), attention.likeness, attention.offsets
    starts = range(0, many, BLOCK)

    def block(first: int) -> pl.DataFrame:
        last = min(first + BLOCK, many)
        near = ratio[offsets[first] : offsets[last]]
        rng = np.random.default_rng([settings.seed, first])
        return _block(attention.part(first, last), near, likeness, settings, rng)

    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:  # numpy works outside of the lock
        found = track(pool.map(block, starts), f"testing {many:,} users", len(starts), disable=len(starts) < 2, transient=True)
        tables = list(found)
    return _judged(pl.concat(tables), settings)


def _block(
    attention: Attention, ratio: np.ndarray, likeness: float, settings: Settings, rng: np.random.Generator
) -> pl.DataFrame:
    panel, names = attention.panel, attention.interests.names
    enough = _enough(attention, likeness, settings)
    draws, finer = settings.permutations, FINER * (1 + settings.permutations) - 1
    some, near = attention.only(enough), ratio[enough[attention.user]]
    moved, deepened = migration(some, draws, rng, near), evolution(some, draws, rng)
    p_migration, p_deepened = moved.p_span, deepened.p
    close = (p_migration <= settings.level_of_test) | (moved.floor > settings.level_of_test / 2)
    if close.any():
        again = migration(attention.only(close), finer, rng, ratio[close[attention.user]])
        p_migration = np.where(close, again.p_span, p_migration)
    close = p_deepened <= settings.level_of_test
    if close.any():
        p_deepened = np.where(close, p_evolution(attention.only(close), finer, rng), p_deepened)
    parts = some.split
    held, late = np.diff(panel.offsets) > 0, attention.second > 0
    middle = np.zeros(len(late), np.int64)
    middle[late] = panel.begins[(panel.session_offsets[1:] - attention.second)[late]]
    answer = pl.Series(enough)

    def when(event: np.ndarray, some: np.ndarray) -> pl.Series:
        seconds = np.zeros(len(some), np.int64)
        seconds[some] = panel.time[event[some]]
        return pl.select(pl.when(pl.Series(some)).then(moments(seconds))).to_series()

    def told(values: np.ndarray) -> pl.Series:
        return pl.select(pl.when(answer).then(pl.Series(values.astype(float)))).to_series().fill_nan(None)

    def called(index: np.ndarray) -> list[str | None]:
        return [names[k] if yes and k >= 0 else None for k, yes in zip(index, enough, strict=True)]

    return pl.DataFrame(
        {
            "user_id": panel.users,
            "events": np.diff(panel.offsets),
            "sessions": np.diff(panel.session_offsets),
            "first": when(panel.offsets[:-1], held),
            "last": when(panel.offsets[1:] - 1, held),
            "middle": when(middle, late),
            "enough": answer,
            "source": called(moved.source),
            "destination": called(moved.destination),
            "moved": told(moved.moved),
            "tv": told(moved.tv),
            "js": told(moved.js),
            "p_tv": told(moved.p_tv),
            "p_js": told(moved.p_js),
            "p_migration": told(p_migration),
            "tv_by_chance": told(moved.tv_by_chance),
            "migration": told(np.linalg.norm(parts.migration, axis=1)),
            "evolution": told(np.linalg.norm(parts.evolution, axis=1)),
            "p_evolution": told(p_deepened),
            "evolved_in": called(deepened.evolved_in),
            "displacement": told(deepened.displacement),
            "p_displacement": told(deepened.p_displacement),
            "entropy_before": told(deepened.entropy),
            "entropy_after": told(deepened.entropy_after),
            "p_entropy": told(deepened.p_entropy),
            "intensity_before": told(deepened.intensity),
            "intensity_after": told(deepened.intensity_after),
            "depth_before": told(deepened.depth),
            "depth_after": told(deepened.depth_after),
            "p_depth": told(deepened.p_depth),
        },
        schema_overrides={"source": pl.String, "destination": pl.String, "evolved_in": pl.String},
    )


def _enough(attention: Attention, likeness: float, settings: Settings) -> np.ndarray:
    """``[U]`` whose events could show what the settings ask for."""
    seen = np.diff(attention.offsets)
    worth = attention.independent(likeness)
    told = homogeneity_test_power(*worth, seen, settings.shift, settings.level_of_test, attention.largest) >= TARGET_POWER
    # Few sessions can be permuted in so few ways that no p-value reaches the level, however many events they have.
    ways = comb(np.diff(attention.panel.session_offsets), attention.second)
    return told & (ways * settings.level_of_test >= 1)


def _judged(table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """With q-values over all users who were tested, and the verdict."""
    p = [table[f"p_{kind}"].cast(pl.Float64).fill_null(float("nan")).to_numpy() for kind in KINDS]
    q = dict(zip(KINDS, np.split(benjamini_hochberg(np.concatenate(p)), len(KINDS)), strict=True))  # one bound for all calls
    level = settings.level_of_test
    moved, deepened = (pl.col(f"q_{what}").fill_null(1.0) <= level for what in KINDS)
    verdict = (
        pl.when(~pl.col("enough"))
        .then(pl.lit(UNKNOWN))
        .when(moved & deepened)
        .then(pl.lit(BOTH))
        .when(moved)
        .then(pl.lit(MIGRATED))
        .when(deepened)
        .then(pl.lit(EVOLVED))
        .otherwise(pl.lit(STILL))
    )
    told = table.with_columns(pl.Series(f"q_{kind}", values).fill_nan(None) for kind, values in q.items())
    told = told.with_columns(verdict=verdict)
    order = ["user_id", "events", "sessions", "first", "last", "middle", "verdict"]
    return told.drop("enough").select(*order, pl.exclude(order))
