"""Measure every size, each stage in a process of its own."""

import argparse
import json
import sys
from typing import Any

import numpy as np

from benchmarks.drift_scale.options import LOG_OPTIONS
from benchmarks.harness.processes import run_python


def measure_sizes(options: argparse.Namespace) -> dict[str, Any]:
    """Return the results, as they are written to JSON.

    Args:
        options: the command line, with the folder of the stores.
    """
    sizes = []
    for users in sorted(options.users):
        store = run_stage("build", options, users)
        sizes.append(run_stage("analysis", options, users) | {"store": store})
        print(f"{users:,} users: {sizes[-1]['total_seconds']:.1f} s, {sizes[-1]['gib']:.2f} GiB", file=sys.stderr)
    return {"sizes": sizes, "power": power(sizes, "total_seconds"), "memory_power": power(sizes, "gib")}


def run_stage(stage: str, options: argparse.Namespace, users: int) -> dict[str, Any]:
    """Run one stage of one size in a new process, and return its measurements."""
    shared = [f"--{name}={getattr(options, name)}" for name in LOG_OPTIONS]
    output = run_python(["-m", "benchmarks.drift_scale", "--child", stage, "--users", users, *shared])
    return dict(json.loads(output.splitlines()[-1]))


def power(sizes: list[dict[str, Any]], key: str) -> float | None:
    """Return the power of the events with which a measurement grows; None for a single size."""
    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log([size["events"] for size in sizes]), np.log([size[key] for size in sizes]), 1)[0])
