"""Change-points: when each user's interests changed, found offline (with the full history) and online."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from interestlab.drift.changes.labels import find_ends
from interestlab.drift.changes.offline import find_offline
from interestlab.drift.changes.online import calibrate_delta, find_online
from interestlab.drift.changes.scan import MINIMUM, scan_users
from interestlab.drift.population import to_datetimes
from interestlab.drift.section import INTEGER, NUMBER, TEXT, TEXTS, TIME, Column, Section, Table
from interestlab.drift.surroundings import describe_surroundings
from interestlab.stats.multiple_testing import benjamini_hochberg

if TYPE_CHECKING:
    from interestlab.drift.context import Context

PERMUTATIONS = 999
"""Permutations of the scan, where they are cheap: a false discovery rate over many users needs small p-values."""

ONLINE_USERS = 2_000
"""Number of randomly sampled users whose sessions go through the online detector, which reads one after the other."""


class Changes(Section):
    """Change-points of users with sufficient evidence; the page shows them with the timelines."""

    name = "changes"
    order = 50
    after = ("users",)
    tables = {
        "changes": Table(
            "change-point",
            {
                "user_id": Column(TEXT, "id of the user"),
                "method": Column(TEXT, "`offline` or `online`"),
                "at": Column(TIME, "first event after the change"),
                "seen_at": Column(TIME, "time at which the change was detected; offline the same as `at`"),
                "session": Column(INTEGER, "first session after the change, from 0"),
                "sessions": Column(INTEGER, "sessions of the user"),
                "p": Column(NUMBER, "p-value of the user's scan; null online"),
                "q": Column(NUMBER, "the same after correction over users"),
                "source": Column(TEXT, "interest with the largest fall at the change"),
                "destination": Column(TEXT, "interest with the largest rise"),
                "items_before": Column(TEXTS, "items before the change, nearest first"),
                "items_after": Column(TEXTS, "items after it"),
                "words_before": Column(TEXTS, "words of titles and texts that are more frequent before"),
                "words_after": Column(TEXTS, "words that are more frequent after"),
            },
        )
    }
    docs = """
Each session of a user with at least 20 sessions is labelled with its main interest. **Offline**, the gain of the best division is
compared with 999 permutations of the sessions; for users with a significant scan, PELT (ruptures) with the permutation threshold as
its penalty finds several changes. **Online**, ADWIN (river) watches each interest; it is calibrated so that a share
`--drift.significance_level` of users without a change raise an alarm, and an alarm has no p-value.
"""

    def compute(self, context: "Context") -> dict[str, pl.DataFrame]:
        return {"changes": find_changes(context)}


def find_changes(context: "Context") -> pl.DataFrame:
    """Find the change-points of users with sufficient evidence, and describe what surrounds them.

    Args:
        context: after the table of users was computed.

    Returns:
        The table of changes.
    """
    settings, log, level = context.settings, context.log, context.settings.significance_level
    offsets, labels, starts = context.session_labels
    sizes = np.diff(offsets)
    chosen = np.zeros(len(sizes), bool)
    chosen[context.answered[sizes[context.answered] >= MINIMUM]] = True
    mask = np.repeat(chosen, sizes)
    offsets, labels, starts = np.r_[0, np.cumsum(np.where(chosen, sizes, 0))], labels[mask], starts[mask]
    scan = scan_users(offsets, labels, PERMUTATIONS, level, settings.seed)
    q = benjamini_hochberg(scan.p)
    parts = [find_offline(offsets, labels, scan, np.flatnonzero(q <= level)).with_columns(method=pl.lit("offline"))]
    if chosen.any():
        parts.append(_find_online_sample(chosen, offsets, labels, level, settings.seed))
    points = pl.concat(parts).sort("user", "method", "session")
    user, session, seen = (points[c].to_numpy() for c in ("user", "session", "seen"))
    position = starts[offsets[user] + session]
    source, destination = find_ends(labels, *_neighbouring_changes(points, offsets))
    is_offline = (points["method"] == "offline").to_numpy()
    names = [*context.interests.names, None]  # index -1 selects None
    table = pl.DataFrame(
        {
            "user_id": log.users.gather(user.tolist()),
            "method": points["method"],
            "at": to_datetimes(log.time[position]),
            "seen_at": to_datetimes(log.time[starts[offsets[user] + seen]]),
            "session": session,
            "sessions": np.diff(offsets)[user],
            "p": np.where(is_offline, scan.p[user], np.nan),
            "q": np.where(is_offline, q[user], np.nan),
            "source": pl.Series([names[k] for k in source], dtype=pl.String),
            "destination": pl.Series([names[k] for k in destination], dtype=pl.String),
        }
    ).with_columns(pl.col("p", "q").fill_nan(None))
    return pl.concat([table, describe_surroundings(context.store, log, position)], how="horizontal")


def _find_online_sample(chosen: np.ndarray, offsets: np.ndarray, labels: np.ndarray, level: float, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng([seed, 2])
    sample = np.sort(rng.choice(np.flatnonzero(chosen), min(ONLINE_USERS, int(chosen.sum())), replace=False))
    sampled_labels = labels[np.isin(np.repeat(np.arange(len(chosen)), np.diff(offsets)), sample)]
    sample_offsets = np.r_[0, np.cumsum(np.diff(offsets)[sample])]
    delta = calibrate_delta(sample_offsets, sampled_labels, level, seed)
    alarms = find_online(sample_offsets, sampled_labels, delta)
    user = pl.Series(sample[alarms["user"].to_numpy()], dtype=pl.Int64)
    return alarms.with_columns(user=user, method=pl.lit("online"))


def _neighbouring_changes(points: pl.DataFrame, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``[C]`` the previous change, each change itself, and the next change, as indices of the labels."""
    user, session = points["user"].to_numpy(), points["session"].to_numpy()
    neighbours = points.select(
        before=pl.col("session").shift(1).over("user", "method").fill_null(0),
        after=pl.col("session").shift(-1).over("user", "method"),
    )
    end = np.diff(offsets)[user]
    stop = np.where(neighbours["after"].is_null().to_numpy(), end, neighbours["after"].fill_null(0).to_numpy())
    return offsets[user] + neighbours["before"].to_numpy(), offsets[user] + session, offsets[user] + stop


section = Changes()
