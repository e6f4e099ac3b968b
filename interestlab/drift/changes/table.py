"""The table of change-points, and the users whose history is worth a look."""

import numpy as np
import polars as pl

from interestlab.data.event_store import EventStore
from interestlab.drift import timelines
from interestlab.drift.changes.labels import find_ends, label_sessions
from interestlab.drift.changes.offline import find_offline
from interestlab.drift.changes.online import calibrate_delta, find_online
from interestlab.drift.changes.scan import MINIMUM, scan_users
from interestlab.drift.interests import Interests
from interestlab.drift.population import to_datetimes
from interestlab.drift.session_log import SessionLog
from interestlab.drift.settings import Settings
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE
from interestlab.stats.multiple_testing import benjamini_hochberg

PERMUTATIONS = 999
"""Of the scan, where they cost little: false discovery rates over many users need small p-values told apart."""

ONLINE = 2_000
"""Users, drawn by chance, whose sessions go through the online detector: it reads one after the other."""


def changed(
    store: EventStore, held: SessionLog, interests: Interests, answered: np.ndarray, settings: Settings
) -> pl.DataFrame:
    """The change-points of users with enough evidence, found offline and online, with what was met around them.

    Offline, a user has changed where the q-value of the scan says so. Online, the detector is calibrated so that a share
    ``significance_level`` of users without change would alarm; its alarms have no p-value.

    Args:
        store: that the log is of.
        held: events that have an interest.
        interests: which.
        answered: ``[n]`` users with enough evidence.
        settings: level, seed.
    """
    offsets, labels, begins = label_sessions(held, interests)
    sizes = np.diff(offsets)
    some = np.zeros(len(sizes), bool)
    some[answered[sizes[answered] >= MINIMUM]] = True
    keep = np.repeat(some, sizes)
    offsets, labels, begins = np.r_[0, np.cumsum(np.where(some, sizes, 0))], labels[keep], begins[keep]
    found = scan_users(offsets, labels, PERMUTATIONS, settings.significance_level, settings.seed)
    q = benjamini_hochberg(found.p)
    parts = [
        find_offline(offsets, labels, found, np.flatnonzero(q <= settings.significance_level)).with_columns(
            method=pl.lit("offline")
        )
    ]
    if some.any():
        rng = np.random.default_rng([settings.seed, 2])
        watched = np.sort(rng.choice(np.flatnonzero(some), min(ONLINE, int(some.sum())), replace=False))
        near = np.isin(np.repeat(np.arange(len(sizes)), np.diff(offsets)), watched)
        part = np.r_[0, np.cumsum(np.diff(offsets)[watched])]
        delta = calibrate_delta(part, labels[near], settings.significance_level, settings.seed)
        alarms = find_online(part, labels[near], delta)
        parts.append(
            alarms.with_columns(user=pl.Series(watched[alarms["user"].to_numpy()], dtype=pl.Int64), method=pl.lit("online"))
        )
    points = pl.concat(parts).sort("user", "method", "session")
    user, session, seen = (points[c].to_numpy() for c in ("user", "session", "seen"))
    position = begins[offsets[user] + session]
    source, destination = find_ends(labels, *_stretches(points, offsets))
    offline_only = (points["method"] == "offline").to_numpy()
    return pl.concat(
        [
            pl.DataFrame(
                {
                    "user_id": held.users.gather(user.tolist()),
                    "method": points["method"],
                    "at": to_datetimes(held.time[position]),
                    "seen_at": to_datetimes(held.time[begins[offsets[user] + seen]]),
                    "session": session,
                    "sessions": np.diff(offsets)[user],
                    "p": np.where(offline_only, found.p[user], np.nan),
                    "q": np.where(offline_only, q[user], np.nan),
                    "source": _named(interests, source),
                    "destination": _named(interests, destination),
                }
            ).with_columns(pl.col("p", "q").fill_nan(None)),
            timelines.around(store, held, position),
        ],
        how="horizontal",
    )


def _stretches(points: pl.DataFrame, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``[C]`` the sessions between which each change stands alone: from the one before to the one after it."""
    user, session = points["user"].to_numpy(), points["session"].to_numpy()
    near = points.select(
        before=pl.col("session").shift(1).over("user", "method").fill_null(0),
        after=pl.col("session").shift(-1).over("user", "method"),
    )
    end = np.diff(offsets)[user]
    stop = np.where(near["after"].is_null().to_numpy(), end, near["after"].fill_null(0).to_numpy())
    return offsets[user] + near["before"].to_numpy(), offsets[user] + session, offsets[user] + stop


def _named(interests: Interests, index: np.ndarray) -> pl.Series:
    return pl.Series([interests.names[k] if k >= 0 else None for k in index], dtype=pl.String)


def examples(changes: pl.DataFrame, people: pl.DataFrame, count: int) -> np.ndarray:
    """``[n]`` the users whose history is shown: those with a change-point, surest first, then the surest of the others."""
    points = changes.group_by("user_id").agg(pl.col("p").min().alias("point"))
    ranked = (
        people.select("user_id", "verdict", pl.col("q_migration", "p_evolution").fill_null(1.0))
        .with_row_index()
        .join(points, on="user_id", how="left", maintain_order="left")
        .filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
        .sort(pl.col("point").is_null(), "q_migration", "p_evolution", "index")
    )
    return np.sort(ranked["index"].head(count).to_numpy().astype(np.int64))
