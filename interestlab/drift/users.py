"""The table of users: how each one's interests moved and deepened, where the data can say so."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
from rich.progress import track
from scipy.special import comb

from interestlab.drift.evolution import evolution_p_values, measure_evolution
from interestlab.drift.migration import measure_migration
from interestlab.drift.population import to_datetimes
from interestlab.drift.settings import Settings
from interestlab.drift.shares import InterestShares
from interestlab.drift.verdicts import BOTH, EVOLVED, INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE
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


def users(shares: InterestShares, ratio: np.ndarray, settings: Settings) -> pl.DataFrame:
    """Test every user. Costs events x permutations.

    Args:
        shares: of all users in their two windows.
        ratio: ``[P]`` drift of the catalogue (:func:`interestlab.drift.population.catalogue_shift`).
        settings: permutations, level, shift, seed.

    Returns:
        A row for each user, in their order. All that is estimated is null where the user has not enough evidence.
    """
    many, likeness, offsets = len(shares.log.users), shares.intraclass_correlation, shares.offsets
    starts = range(0, many, BLOCK)

    def block(first: int) -> pl.DataFrame:
        last = min(first + BLOCK, many)
        near = ratio[offsets[first] : offsets[last]]
        rng = np.random.default_rng([settings.seed, first])
        return _block(shares.part(first, last), near, likeness, settings, rng)

    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:  # numpy works outside of the lock
        found = track(pool.map(block, starts), f"testing {many:,} users", len(starts), disable=len(starts) < 2, transient=True)
        tables = list(found)
    return _judged(pl.concat(tables), settings)


def _block(
    shares: InterestShares, ratio: np.ndarray, likeness: float, settings: Settings, rng: np.random.Generator
) -> pl.DataFrame:
    log, names = shares.log, shares.interests.names
    enough = _enough(shares, likeness, settings)
    draws, finer = settings.permutations, FINER * (1 + settings.permutations) - 1
    some, near = shares.only(enough), ratio[enough[shares.user]]
    moved, deepened = measure_migration(some, draws, rng, near), measure_evolution(some, draws, rng)
    p_migration, p_deepened = moved.p_span, deepened.p
    close = (p_migration <= settings.significance_level) | (moved.floor > settings.significance_level / 2)
    if close.any():
        again = measure_migration(shares.only(close), finer, rng, ratio[close[shares.user]])
        p_migration = np.where(close, again.p_span, p_migration)
    close = p_deepened <= settings.significance_level
    if close.any():
        p_deepened = np.where(close, evolution_p_values(shares.only(close), finer, rng), p_deepened)
    parts = some.decomposition
    held, late = np.diff(log.offsets) > 0, shares.second > 0
    middle = np.zeros(len(late), np.int64)
    middle[late] = log.session_starts[(log.session_offsets[1:] - shares.second)[late]]
    answer = pl.Series(enough)

    def when(event: np.ndarray, some: np.ndarray) -> pl.Series:
        seconds = np.zeros(len(some), np.int64)
        seconds[some] = log.time[event[some]]
        return pl.select(pl.when(pl.Series(some)).then(to_datetimes(seconds))).to_series()

    def told(values: np.ndarray) -> pl.Series:
        return pl.select(pl.when(answer).then(pl.Series(values.astype(float)))).to_series().fill_nan(None)

    def called(index: np.ndarray) -> list[str | None]:
        return [names[k] if yes and k >= 0 else None for k, yes in zip(index, enough, strict=True)]

    return pl.DataFrame(
        {
            "user_id": log.users,
            "events": np.diff(log.offsets),
            "sessions": np.diff(log.session_offsets),
            "first": when(log.offsets[:-1], held),
            "last": when(log.offsets[1:] - 1, held),
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


def _enough(shares: InterestShares, likeness: float, settings: Settings) -> np.ndarray:
    """``[U]`` whose events could show what the settings ask for."""
    seen = np.diff(shares.offsets)
    worth = shares.effective_events(likeness)
    told = homogeneity_test_power(*worth, seen, settings.shift, settings.significance_level, shares.two_largest) >= TARGET_POWER
    # Few sessions can be permuted in so few ways that no p-value reaches the level, however many events they have.
    ways = comb(np.diff(shares.log.session_offsets), shares.second)
    return told & (ways * settings.significance_level >= 1)


def _judged(table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """With q-values over all users who were tested, and the verdict."""
    p = [table[f"p_{kind}"].cast(pl.Float64).fill_null(float("nan")).to_numpy() for kind in KINDS]
    q = dict(zip(KINDS, np.split(benjamini_hochberg(np.concatenate(p)), len(KINDS)), strict=True))  # one bound for all calls
    level = settings.significance_level
    moved, deepened = (pl.col(f"q_{what}").fill_null(1.0) <= level for what in KINDS)
    verdict = (
        pl.when(~pl.col("enough"))
        .then(pl.lit(INSUFFICIENT_EVIDENCE))
        .when(moved & deepened)
        .then(pl.lit(BOTH))
        .when(moved)
        .then(pl.lit(MIGRATED))
        .when(deepened)
        .then(pl.lit(EVOLVED))
        .otherwise(pl.lit(NO_CHANGE))
    )
    told = table.with_columns(pl.Series(f"q_{kind}", values).fill_nan(None) for kind, values in q.items())
    told = told.with_columns(verdict=verdict)
    order = ["user_id", "events", "sessions", "first", "last", "middle", "verdict"]
    return told.drop("enough").select(*order, pl.exclude(order))
