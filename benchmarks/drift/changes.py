"""Section ``changes``: change-points in a history, offline and online."""

import argparse
import math

import numpy as np
import polars as pl

from benchmarks.drift.planted import LEVEL, Key, PlantedLog, Values
from interestlab.drift.changes import calibrate_delta, find_offline, find_online, label_sessions, pelt_segments, scan_users
from interestlab.drift.interests import Interests
from interestlab.drift.session_log import SessionLog
from interestlab.stats.multiple_testing import benjamini_hochberg

TOLERANCE = 0.1
"""A change found within this share of the history's length is a hit."""


def evaluate_changes(options: argparse.Namespace, values: Values, log: PlantedLog, key: Key, seed: int) -> None:
    """Search for the change in histories of each length.

    Args:
        options: the command line.
        values: the measurements are appended here.
        log: the log.
        key: visit and reading of the log.
        seed: seed of the log.
    """
    for length in options.lengths:
        share = np.random.default_rng([seed, length]).uniform(0.35, 0.65, len(log.session_log.users))
        before = np.round(share * length).astype(np.int64)
        window, late_sessions, has_enough = log.around(before, length - before)
        users = has_enough & (log.kind != "evolve")
        window = window.keep_events(users[window.user])
        offsets, labels, _ = label_sessions(window, log.interests)
        truth = np.where(users & (log.kind == "migrate"), np.diff(offsets) - late_sessions, -1)
        scanned = scan_users(offsets, labels, options.scans, LEVEL, seed)
        by_method = {
            "scan": find_offline(offsets, labels, scanned, np.flatnonzero(scanned.p <= LEVEL)),
            "scan, q": find_offline(offsets, labels, scanned, np.flatnonzero(benjamini_hochberg(scanned.p) <= LEVEL)),
            "PELT, penalty ln L": segment_histories(offsets, labels, users, math.log(length)),
        }
        for method, changes in by_method.items():
            record_changes(values, ("changes", *key, length, method), changes, truth, users, TOLERANCE * length)
        some = np.flatnonzero(users)[: options.online]
        alarms = detect_online(window, log.interests, some, seed, most=options.online)
        watched = np.isin(np.arange(len(users)), some)
        record_changes(values, ("changes", *key, length, "online"), alarms, truth, watched, TOLERANCE * length)


def segment_histories(offsets: np.ndarray, labels: np.ndarray, users: np.ndarray, penalty: float) -> pl.DataFrame:
    """Return the changes that PELT finds with a fixed penalty."""
    rows = [(u, s) for u in np.flatnonzero(users) for s in pelt_segments(labels[offsets[u] : offsets[u + 1]], penalty)]
    return pl.DataFrame(rows, schema={"user": pl.Int64, "session": pl.Int64}, orient="row")


def detect_online(window: SessionLog, interests: Interests, users: np.ndarray, seed: int, most: int) -> pl.DataFrame:
    """Return the alarms of the online detector for some users.

    Args:
        window: events of all users.
        interests: the interests.
        users: ``[V]`` the users whose histories it reads.
        seed: seed of its calibration.
        most: users that it is calibrated on, at most.
    """
    few = window.keep_events(np.isin(window.user, users))
    offsets, labels, _ = label_sessions(few, interests)
    watched = np.isin(np.arange(len(offsets) - 1), users)
    own_offsets = np.r_[0, np.cumsum(np.diff(offsets)[watched])]
    alarms = find_online(own_offsets, labels, calibrate_delta(own_offsets, labels, LEVEL, seed, most=most))
    return alarms.with_columns(user=pl.Series(users[alarms["user"].to_numpy()], dtype=pl.Int64))


def record_changes(
    values: Values, key: Key, changes: pl.DataFrame, truth: np.ndarray, users: np.ndarray, tolerance: float
) -> None:
    """Append hits, false alarms and misses.

    Args:
        values: the measurements are appended here.
        key: section, visit, reading, length and method.
        changes: the changes that were found, one row each.
        truth: ``[U]`` session of the planted change; -1: none.
        users: ``[U]`` the users who count.
        tolerance: sessions within which a change is a hit.
    """
    user, session = changes["user"].to_numpy(), changes["session"].to_numpy()
    is_right = (truth[user] >= 0) & (np.abs(session - truth[user]) <= tolerance)
    hits = len(np.unique(user[is_right]))
    migrators, stayers = users & (truth >= 0), users & (truth < 0)
    false_alarms, misses = len(user) - hits, migrators.sum() - hits
    is_alarmed = np.isin(np.arange(len(users)), user)
    rows = {
        "F1": 2 * hits / max(1, 2 * hits + false_alarms + misses),
        "hits": hits / max(1, migrators.sum()),
        "null users alarmed": is_alarmed[stayers].mean(),
        "off by": float(np.median(np.abs(session - truth[user])[is_right])) if is_right.any() else math.nan,
    }
    if key[-1] == "online":
        rows |= measure_delay(user, changes["seen"].to_numpy(), truth, migrators)
    for name, value in rows.items():
        values[*key, name].append(float(value))


def measure_delay(user: np.ndarray, alarm: np.ndarray, truth: np.ndarray, migrators: np.ndarray) -> dict[str, float]:
    """Return how many changes were seen, how late, and how many users were alarmed before their change.

    Args:
        user: ``[A]`` user of each alarm.
        alarm: ``[A]`` session of each alarm.
        truth: ``[U]`` session of the planted change; -1: none.
        migrators: ``[U]`` the users with a change who count.
    """
    has_change = truth[user] >= 0
    is_after = has_change & (alarm >= truth[user])
    delays = alarm[is_after] - truth[user][is_after]
    total = max(1, migrators.sum())
    return {
        "seen": len(np.unique(user[is_after])) / total,
        "delay": float(np.median(delays)) if len(delays) else math.nan,
        "alarmed too early": len(np.unique(user[has_change & ~is_after])) / total,
    }
