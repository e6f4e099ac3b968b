"""Sections ``migration``, ``where`` and ``evidence``: the test of migration."""

import argparse
import math
from dataclasses import replace

import numpy as np
import polars as pl

from benchmarks.drift.planted import KINDS, LEVEL, MOVED, STRENGTH, Key, PlantedLog, Values
from interestlab.drift.migration import measure_migration
from interestlab.drift.settings import Settings
from interestlab.drift.shares import InterestShares
from interestlab.stats.power import TARGET_POWER, homogeneity_test_power, required_sample_size


def evaluate_migration(options: argparse.Namespace, values: Values, log: PlantedLog, key: Key, seed: int) -> None:
    """Run the test in windows of each size.

    Args:
        options: the command line.
        values: the measurements are appended here.
        log: the log.
        key: visit and reading of the log.
        seed: seed of the log.
    """
    for n in options.events:
        shares, has_enough = log.windows(log.interests, n)
        rng = np.random.default_rng([seed, n])
        result = measure_migration(shares, options.draws, rng)
        by_event = measure_migration(split_sessions(shares), options.draws, rng)
        p_values = {
            "tv": result.p_tv,
            "js": result.p_js,
            "span": result.p_span,
            "tv, events": by_event.p_tv,
            "span, events": by_event.p_span,
        }
        for kind in KINDS:
            users = has_enough & (log.kind == kind)
            values["users", *key, n, kind].append(float(users.sum()))
            for name, p in p_values.items():
                values["migration", *key, n, kind, name].append(float((p[users] <= LEVEL).mean()))
        migrators = has_enough & (log.kind == "migrate")
        index = {name: k for k, name in enumerate(log.interests.names)}
        source, destination = (
            log.truth[column].replace_strict(index, default=-2, return_dtype=pl.Int64).fill_null(-2).to_numpy()
            for column in ("source", "destination")
        )
        is_source, is_destination = result.source == source, result.destination == destination
        is_both, called = is_source & is_destination, migrators & (result.p_span <= LEVEL)
        for name, is_right in (("source", is_source), ("destination", is_destination), ("both", is_both)):
            values["where", *key, n, name].append(float(is_right[migrators].mean()))
        values["where", *key, n, "both, p <= .05"].append(mean_or_nan(is_both[called]))
        evaluate_evidence(values, log, shares, migrators, result.p_span, (*key, n))


def evaluate_evidence(
    values: Values, log: PlantedLog, shares: InterestShares, migrators: np.ndarray, p: np.ndarray, key: Key
) -> None:
    """Compare the power that the rule of evidence predicts with the measured power.

    Args:
        values: the measurements are appended here.
        log: the log.
        shares: interest shares before and after.
        migrators: ``[U]`` who migrates and has enough events.
        p: ``[U]`` p-value of each user.
        key: visit, reading and size of the windows.
    """
    interests_per_user = np.diff(shares.offsets)
    effective_events = shares.effective_events(shares.intraclass_correlation)
    shift = STRENGTH * MOVED[key[1]]
    predicted = homogeneity_test_power(*effective_events, interests_per_user, shift, LEVEL, shares.two_largest)
    has_evidence = (
        homogeneity_test_power(*effective_events, interests_per_user, Settings().detectable_shift, LEVEL, shares.two_largest)
        >= TARGET_POWER
    )
    rows = {
        "interests": interests_per_user[migrators].mean(),
        "effective": np.mean([events[migrators].mean() for events in effective_events]),
        "needed": np.mean([required_sample_size(int(k), shift, LEVEL) for k in interests_per_user[migrators]]),
        "predicted": predicted[migrators].mean(),
        "measured": (p[migrators] <= LEVEL).mean(),
        "answered": has_evidence[migrators].mean(),
        "measured, answered": mean_or_nan(p[migrators & has_evidence] <= LEVEL),
        "false, answered": mean_or_nan(p[has_evidence & (log.kind == "null")] <= LEVEL),
    }
    for name, value in rows.items():
        values["evidence", *key, name].append(float(value))


def split_sessions(shares: InterestShares) -> InterestShares:
    """Return the same windows with every event as a session of its own."""
    window = replace(shares.log, session=np.arange(len(shares.log.time)))
    is_late = shares.is_after[shares.log.session]
    return InterestShares(window, shares.interests, np.bincount(window.user[is_late], minlength=len(window.users)))


def mean_or_nan(values: np.ndarray) -> float:
    """Return the mean, or NaN of no values."""
    return float(values.mean()) if len(values) else math.nan
