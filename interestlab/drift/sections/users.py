"""Users: how each user's interests migrated and evolved, if the log has sufficient evidence."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
from rich.progress import track
from scipy.special import comb

from interestlab.drift.context import Context
from interestlab.drift.evolution import evolution_p_values, measure_evolution
from interestlab.drift.migration import measure_migration
from interestlab.drift.population import to_datetimes
from interestlab.drift.report.selection import TABLE_ROWS, sort_by_evidence
from interestlab.drift.report.tables import ReportTables
from interestlab.drift.section import INTEGER, NUMBER, TEXT, TIME, Column, Section, Table
from interestlab.drift.settings import Settings
from interestlab.drift.shares import InterestShares
from interestlab.drift.verdicts import BOTH, EVOLVED, INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE
from interestlab.stats.multiple_testing import benjamini_hochberg
from interestlab.stats.power import TARGET_POWER, homogeneity_test_power

BLOCK = 2_000
"""Users tested at once, so that memory does not grow with the log."""

WORKERS = 4
"""Largest number of blocks at the same time; each takes some hundred MiB."""

FINER = 20
"""Factor of permutations for users whose first p-value is below the level, or whose permutations could hardly go below it: the
correction for many users has to distinguish small p-values."""

KINDS = ("migration", "evolution")

COLUMNS = {
    "user_id": Column(TEXT, "id of the user"),
    "events": Column(INTEGER, "events of items with an interest"),
    "sessions": Column(INTEGER, "sessions of these events"),
    "first": Column(TIME, "first event"),
    "last": Column(TIME, "last event"),
    "middle": Column(TIME, "first event of the second window"),
    "verdict": Column(TEXT, "migrated, evolved, both, no change seen, or not enough evidence"),
    "source": Column(TEXT, "interest with the largest fall of its share, beyond the catalogue shift"),
    "destination": Column(TEXT, "interest with the largest rise"),
    "moved": Column(NUMBER, "share of the events that moved, beyond the catalogue shift"),
    "tv": Column(NUMBER, "total variation of the shares"),
    "js": Column(NUMBER, "Jensen–Shannon divergence of the shares, bits"),
    "p_tv": Column(NUMBER, "p-value of `tv`"),
    "p_js": Column(NUMBER, "p-value of `js`"),
    "p_migration": Column(NUMBER, "p-value of the largest standardised rise and fall together: the test of the verdict"),
    "tv_under_null": Column(NUMBER, "mean of `tv` over the permutations"),
    "migration": Column(NUMBER, "length of M"),
    "evolution": Column(NUMBER, "length of E"),
    "p_evolution": Column(NUMBER, "p-value of the evolution: the test of the verdict"),
    "evolved_in": Column(TEXT, "interest that contributes most to the evolution"),
    "displacement": Column(NUMBER, "displacement of the centroids within interests, as a sum of squares"),
    "p_displacement": Column(NUMBER, "p-value of `displacement`"),
    "entropy_before": Column(NUMBER, "entropy over the leaves before, bits (Miller–Madow)"),
    "entropy_after": Column(NUMBER, "the same after"),
    "p_entropy": Column(NUMBER, "one-sided p-value of the fall of the entropy"),
    "intensity_before": Column(NUMBER, "events per day before"),
    "intensity_after": Column(NUMBER, "events per day after"),
    "depth_before": Column(NUMBER, "mean funnel depth before: view 0, cart and favorite ½, purchase and review 1"),
    "depth_after": Column(NUMBER, "the same after"),
    "p_depth": Column(NUMBER, "two-sided p-value of the change of depth"),
    "q_migration": Column(NUMBER, "`p_migration` after correction over all users and both tests"),
    "q_evolution": Column(NUMBER, "`p_evolution` after the same correction"),
    "segment": Column(TEXT, "segment over the full history"),
    "segment_before": Column(TEXT, "segment nearest to the first window"),
    "segment_after": Column(TEXT, "segment nearest to the second window"),
}


class Users(Section):
    """The test of every user."""

    name = "users"
    title = "Users who changed"
    label = "Users"
    order = 70
    tables = {"users": Table("user", COLUMNS)}
    docs = """
Every user is tested for migration and for evolution. A user gets a verdict only if their events would reveal, with power .8, that
`--drift.detectable_shift` (half) of them moved to another interest; otherwise every estimate is null and the verdict is *not
enough evidence*. Migration and evolution of all users are corrected together, so one bound holds for all users that are reported
as changed.
"""
    template = """
{% if users %}
<div class="scroll tall" tabindex="0" role="region" aria-label="Users who changed">
<table class="sortable">
<caption>{% if changed > users | length %}The first {{ users | length }} of {{ formats.integer(changed) }}
{%- else %}All {{ formats.integer(changed) }}{% endif %}, by the smaller q. {{ formats.integer(counts["no change seen"]) }} users
with a verdict show no change; for {{ formats.integer(counts["not enough evidence"]) }} there is not enough evidence, and none of
their numbers are shown.</caption>
{{ heads("user", "verdict", "#events", "from → to", "#moved", "#total variation", "#migration q", "evolved in", "#evolution q",
"second window from") }}
<tbody>
{% for u in users %}
{% set m, e = "migrated" in u.verdict, "evolved" in u.verdict %}
<tr><th scope="row">{{ u.user_id }}</th><td class="nowrap">{{ u.verdict }}</td>
{{ two(u.events, formats.integer(u.events), labels.plural(u.sessions, "session")) }}
<td class="name">{{ labels.transition(u.source, u.destination) if m else "–" }}</td>
{{ num(u.moved if m else none, formats.percent(u.moved, 0) if m else "–") }}
{{ two(u.tv, formats.decimal(u.tv), formats.decimal(u.tv_under_null) ~ " by chance") }}
{{ two(u.q_migration, formats.p_value(u.q_migration), "p " ~ formats.p_value(u.p_migration)) }}
<td class="name">{{ labels.text(u.evolved_in) if e else "–" }}</td>
{{ two(u.q_evolution, formats.p_value(u.q_evolution), "p " ~ formats.p_value(u.p_evolution)) }}
<td class="nowrap">{{ formats.date(u.middle) }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
{% else %}
<p class="none">No user changed beyond chance: {{ formats.integer(meta.answered) }} have a verdict, and for
{{ formats.integer(counts["not enough evidence"]) }} there is not enough evidence.</p>
{% endif %}
"""

    def compute(self, context: Context) -> dict[str, pl.DataFrame]:
        users, segmentation = analyse_users(context.shares, context.shift_ratio, context.settings), context.segmentation
        segments = {
            "segment": segmentation.user_segment,
            "segment_before": segmentation.before,
            "segment_after": segmentation.after,
        }
        names = [*segmentation.names, None]  # index -1 selects None
        return {"users": users.with_columns(pl.Series(c, [names[s] for s in of], pl.String) for c, of in segments.items())}

    def variables(self, report: ReportTables) -> dict[str, Any]:
        changed = sort_by_evidence(report)
        return {"users": changed.head(TABLE_ROWS).to_dicts(), "changed": changed.height}


def analyse_users(shares: InterestShares, ratio: np.ndarray, settings: Settings) -> pl.DataFrame:
    """Test every user. Time grows with events x permutations.

    Args:
        shares: interest shares of all users in two windows.
        ratio: ``[P]`` catalogue shift (:func:`interestlab.drift.population.catalogue_shift`).
        settings: permutations, level, detectable shift and seed.

    Returns:
        One row per user, in their order, without the segments. Estimates are null where the evidence is insufficient.
    """
    count, correlation, offsets = len(shares.log.users), shares.intraclass_correlation, shares.offsets
    starts = range(0, count, BLOCK)

    def analyse(first: int) -> pl.DataFrame:
        last = min(first + BLOCK, count)
        block_ratio = ratio[offsets[first] : offsets[last]]
        rng = np.random.default_rng([settings.seed, first])
        return _analyse_block(shares.slice_users(first, last), block_ratio, correlation, settings, rng)

    with ThreadPoolExecutor(min(WORKERS, os.cpu_count() or 1)) as pool:  # numpy releases the interpreter's lock
        blocks = pool.map(analyse, starts)
        tables = list(track(blocks, f"testing {count:,} users", len(starts), disable=len(starts) < 2, transient=True))
    return _add_verdicts(pl.concat(tables), settings)


def _analyse_block(
    shares: InterestShares, ratio: np.ndarray, correlation: float, settings: Settings, rng: np.random.Generator
) -> pl.DataFrame:
    log, names, level = shares.log, shares.interests.names, settings.significance_level
    enough = _has_evidence(shares, correlation, settings)
    draws, more_draws = settings.permutations, FINER * (1 + settings.permutations) - 1
    tested, tested_ratio = shares.keep_users(enough), ratio[enough[shares.user]]
    moved, evolved = measure_migration(tested, draws, rng, tested_ratio), measure_evolution(tested, draws, rng)
    p_migration, p_evolution = moved.p_span, evolved.p
    close = (p_migration <= level) | (moved.floor > level / 2)
    if close.any():
        again = measure_migration(shares.keep_users(close), more_draws, rng, ratio[close[shares.user]])
        p_migration = np.where(close, again.p_span, p_migration)
    close = p_evolution <= level
    if close.any():
        p_evolution = np.where(close, evolution_p_values(shares.keep_users(close), more_draws, rng), p_evolution)
    parts = tested.decomposition
    active, has_second = np.diff(log.offsets) > 0, shares.sessions_after > 0
    middle = np.zeros(len(has_second), np.int64)
    middle[has_second] = log.session_starts[(log.session_offsets[1:] - shares.sessions_after)[has_second]]
    sufficient = pl.Series(enough)

    def times(event: np.ndarray, known: np.ndarray) -> pl.Series:
        seconds = np.zeros(len(known), np.int64)
        seconds[known] = log.time[event[known]]
        return pl.select(pl.when(pl.Series(known)).then(to_datetimes(seconds))).to_series()

    def estimates(values: np.ndarray) -> pl.Series:
        return pl.select(pl.when(sufficient).then(pl.Series(values.astype(float)))).to_series().fill_nan(None)

    def interest_names(index: np.ndarray) -> list[str | None]:
        return [names[k] if known and k >= 0 else None for k, known in zip(index, enough, strict=True)]

    return pl.DataFrame(
        {
            "user_id": log.users,
            "events": np.diff(log.offsets),
            "sessions": np.diff(log.session_offsets),
            "first": times(log.offsets[:-1], active),
            "last": times(log.offsets[1:] - 1, active),
            "middle": times(middle, has_second),
            "enough": sufficient,
            "source": interest_names(moved.source),
            "destination": interest_names(moved.destination),
            "moved": estimates(moved.moved),
            "tv": estimates(moved.tv),
            "js": estimates(moved.js),
            "p_tv": estimates(moved.p_tv),
            "p_js": estimates(moved.p_js),
            "p_migration": estimates(p_migration),
            "tv_under_null": estimates(moved.tv_under_null),
            "migration": estimates(np.linalg.norm(parts.migration, axis=1)),
            "evolution": estimates(np.linalg.norm(parts.evolution, axis=1)),
            "p_evolution": estimates(p_evolution),
            "evolved_in": interest_names(evolved.evolved_in),
            "displacement": estimates(evolved.displacement),
            "p_displacement": estimates(evolved.p_displacement),
            "entropy_before": estimates(evolved.entropy),
            "entropy_after": estimates(evolved.entropy_after),
            "p_entropy": estimates(evolved.p_entropy),
            "intensity_before": estimates(evolved.intensity),
            "intensity_after": estimates(evolved.intensity_after),
            "depth_before": estimates(evolved.depth),
            "depth_after": estimates(evolved.depth_after),
            "p_depth": estimates(evolved.p_depth),
        },
        schema_overrides={"source": pl.String, "destination": pl.String, "evolved_in": pl.String},
    )


def _has_evidence(shares: InterestShares, correlation: float, settings: Settings) -> np.ndarray:
    """``[U]`` whether the user's events would reveal the detectable shift."""
    interests = np.diff(shares.offsets)
    effective, level = shares.effective_events(correlation), settings.significance_level
    power = homogeneity_test_power(*effective, interests, settings.detectable_shift, level, shares.two_largest)
    # A few sessions have so few permutations that no p-value reaches the level, whatever the number of events.
    permutations = comb(np.diff(shares.log.session_offsets), shares.sessions_after)
    return (power >= TARGET_POWER) & (permutations * level >= 1)


def _add_verdicts(table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Add q-values over all users who were tested, and the verdict."""
    p = [table[f"p_{kind}"].cast(pl.Float64).fill_null(float("nan")).to_numpy() for kind in KINDS]
    q = dict(zip(KINDS, np.split(benjamini_hochberg(np.concatenate(p)), len(KINDS)), strict=True))
    migrated, evolved = (pl.col(f"q_{kind}").fill_null(1.0) <= settings.significance_level for kind in KINDS)
    verdict = (
        pl.when(~pl.col("enough"))
        .then(pl.lit(INSUFFICIENT_EVIDENCE))
        .when(migrated & evolved)
        .then(pl.lit(BOTH))
        .when(migrated)
        .then(pl.lit(MIGRATED))
        .when(evolved)
        .then(pl.lit(EVOLVED))
        .otherwise(pl.lit(NO_CHANGE))
    )
    judged = table.with_columns(pl.Series(f"q_{kind}", values).fill_nan(None) for kind, values in q.items())
    columns = [name for name in COLUMNS if not name.startswith("segment")]
    return judged.with_columns(verdict=verdict).drop("enough").select(columns)


section = Users()
