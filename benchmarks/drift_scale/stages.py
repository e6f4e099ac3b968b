"""The stages of one size: build the store, analyse the log."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.harness.memory import process_peak
from benchmarks.harness.timing import Stopwatch
from interestlab.data.datamodule import InterestData
from interestlab.drift import analysis
from interestlab.drift.context import Context
from interestlab.drift.interests import build_interests
from interestlab.drift.section import Section
from interestlab.drift.session_log import build_session_log
from interestlab.drift.settings import Settings
from interestlab.drift.vectors import cooccurrence_vectors, reduce_dimensions
from interestlab_sources.simulated import Simulated


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
    """Analyse the log of a size, and return the seconds and peak memory of the whole and of each section."""
    data, stopwatch = simulated_data(options, users), Stopwatch(options.clock)
    log, settings, start = data.log, Settings(detectable_shift=options.shift), stopwatch.now()
    session_log = build_session_log(log, settings.session_gap)
    vectors, _ = reduce_dimensions(cooccurrence_vectors(session_log, settings.column, seed=settings.seed))
    interests = build_interests(session_log, vectors, settings)
    ready = {"seconds": stopwatch.now() - start, "gib": peak_gib()}

    parts: dict[str, dict[str, float]] = {}
    compute = analysis.compute_section

    def timed_section(section: Section, context: Context) -> dict[str, pl.DataFrame]:
        section_start = stopwatch.now()
        tables = compute(section, context)
        parts[section.name] = {"seconds": stopwatch.now() - section_start, "gib": peak_gib()}
        return tables

    analysis.compute_section = timed_section
    analysis_start = stopwatch.now()
    result = analysis.analyse(log, session_log, interests, settings, data.fingerprint)
    seconds = stopwatch.now() - analysis_start
    analysis.compute_section = compute
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


STAGES = {"build": build_store, "analysis": analyse_log}
"""Stages of a size, in the order in which they run."""
