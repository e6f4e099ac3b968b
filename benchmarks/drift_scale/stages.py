"""The stages of one size: build the store, analyse the log."""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness.memory import process_peak
from benchmarks.harness.timing import Stopwatch
from interestlab.data.datamodule import InterestData
from interestlab.drift import analysis
from interestlab.drift.interests import build_interests
from interestlab.drift.session_log import build_session_log
from interestlab.drift.settings import Settings
from interestlab.drift.vectors import cooccurrence_vectors, reduce_dimensions
from interestlab_sources.simulated import Simulated

PARTS = (
    "build_session_log",
    "half_the_sessions",
    "catalogue_shift",
    "users",
    "cluster_users",
    "rank_brands",
    "changed",
    "examples",
    "label_sessions",
    "shares_over_time",
    "trends",
    "flow_table",
    "segment_table",
    "moves_table",
    "audiences",
    "landscape",
)
"""Functions of the analysis that are timed; the rest of its time is its own."""


def peak_gib() -> float:
    """Return the peak memory of this process in GiB."""
    return process_peak() / 2**10


def simulated_data(options: argparse.Namespace, users: int) -> InterestData:
    """Return the data of one size."""
    source = Simulated(
        users=users, items=options.items, categories=20, events=options.events, visit=options.visit, seed=options.seed
    )
    return InterestData(source, cache_dir=str(options.cache))


def build_store(options: argparse.Namespace, users: int) -> dict[str, Any]:
    """Build the store of a size, and return its events, seconds and peak memory."""
    stopwatch = Stopwatch(options.clock)
    start = stopwatch.now()
    log = simulated_data(options, users).log
    return {"events": len(log.time), "seconds": stopwatch.now() - start, "gib": peak_gib()}


def analyse_log(options: argparse.Namespace, users: int) -> dict[str, Any]:
    """Analyse the log of a size, and return the seconds and peak memory of the whole and of each part."""
    data, stopwatch = simulated_data(options, users), Stopwatch(options.clock)
    log, settings, start = data.log, Settings(shift=options.shift), stopwatch.now()
    session_log = build_session_log(log, settings.session_gap)
    vectors, _ = reduce_dimensions(cooccurrence_vectors(session_log, settings.column, seed=settings.seed))
    interests = build_interests(session_log, vectors, settings)
    ready = {"seconds": stopwatch.now() - start, "gib": peak_gib()}

    parts: dict[str, dict[str, float]] = {}
    for name in PARTS:
        setattr(analysis, name, timed(name, getattr(analysis, name), parts, stopwatch))
    analysis_start = stopwatch.now()
    result = analysis.analyse(log, interests, settings, data.fingerprint)
    seconds = stopwatch.now() - analysis_start
    with tempfile.TemporaryDirectory() as folder:
        result.write(Path(folder))
    return {
        "users": len(log.users),
        "events": len(log.time),
        "answered": result.meta["answered"],
        "ready": ready,
        "seconds": seconds,
        "parts": parts,
        "total_seconds": stopwatch.now() - start,
        "gib": peak_gib(),
    }


def timed(
    name: str, function: Callable[..., Any], parts: dict[str, dict[str, float]], stopwatch: Stopwatch
) -> Callable[..., Any]:
    """Return a function that adds its time and the process's peak to ``parts[name]``."""

    def run(*args: Any, **kwargs: Any) -> Any:
        start = stopwatch.now()
        result = function(*args, **kwargs)
        part = parts.setdefault(name, {"seconds": 0.0, "gib": 0.0})
        part["seconds"] += stopwatch.now() - start
        part["gib"] = peak_gib()
        return result

    return run


STAGES = {"build": build_store, "analysis": analyse_log}
"""Stages of a size, in the order in which they run."""
