"""Time and memory of a whole analysis of drift, by the number of users.

Each size is a simulated log, built into a store by a process of its own, which is told apart. Another process then opens
the store and does what ``interestlab drift`` does without a config: where the items lie by who meets them, interests by the
taxonomy, :func:`interestlab.drift.analysis.analyse` with the defaults, and its tables to disk. The page is left out.

- **seconds** of the whole and of each part of the analysis: of the wall, or, on a machine that does other work, those that the
  processor spent (``--clock processor``);
- **peak** memory of that process, libraries and the store's mapped files included, and by when it was reached;
- **power**: slope of log time on log events over all sizes: about 1 is linear.

    python benchmarks/drift_scale.py [--users 25000 50000 100000] [--shift .5] [--out results.json] [--plot cost.png]
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

GOALS = {"seconds": 300.0, "gib": 4.0}
"""What 100,000 users of 50 events may take at most."""
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
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
"""Functions of the analysis that are timed; what is left over is its own."""


def opened(args: argparse.Namespace, users: int) -> Any:
    from interestlab.data.datamodule import InterestData
    from interestlab_sources.simulated import Simulated

    source = Simulated(users=users, items=args.items, categories=20, events=args.events, visit=args.visit, seed=args.seed)
    return InterestData(source, cache_dir=str(args.cache))


def peak() -> float:
    """GiB that this process held at its peak; ru_maxrss of a child would begin with its parent's."""
    told = Path("/proc/self/status")
    if told.exists() and (found := re.search(r"^VmHWM:\s+(\d+)", told.read_text(), re.MULTILINE)):
        return int(found[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def build(args: argparse.Namespace, users: int) -> dict[str, Any]:
    """The store of a log, on disk."""
    began = CLOCKS[args.clock]()
    log = opened(args, users).log
    return {"events": len(log.time), "seconds": CLOCKS[args.clock]() - began, "gib": peak()}


def analysis(args: argparse.Namespace, users: int) -> dict[str, Any]:
    """One analysis, part by part."""
    from interestlab.drift import analysis as whole
    from interestlab.drift.interests import build_interests
    from interestlab.drift.session_log import build_session_log
    from interestlab.drift.settings import Settings
    from interestlab.drift.vectors import cooccurrence_vectors, reduce_dimensions

    data = opened(args, users)
    now = CLOCKS[args.clock]
    log, settings, began, parts = data.log, Settings(detectable_shift=args.shift), now(), {}
    before = build_session_log(log, settings.session_gap)
    vectors, _ = reduce_dimensions(cooccurrence_vectors(before, settings.column, seed=settings.seed))
    interests = build_interests(before, vectors, settings)
    ready, ready_gib = now() - began, peak()

    def timed(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any, **named: Any) -> Any:
            start = now()
            out = work(*given, **named)
            held = parts.setdefault(name, {"seconds": 0.0, "gib": 0.0})
            held["seconds"] += now() - start
            held["gib"] = peak()
            return out

        return run

    for name in PARTS:
        setattr(whole, name, timed(name, getattr(whole, name)))
    start = now()
    found = whole.analyse(log, interests, settings, data.fingerprint)
    took = now() - start
    with tempfile.TemporaryDirectory() as folder:
        found.write(Path(folder))
    return {
        "users": len(log.users),
        "events": len(log.time),
        "answered": found.meta["answered"],
        "ready": {"seconds": ready, "gib": ready_gib},
        "seconds": took,
        "parts": parts,
        "total_seconds": now() - began,
        "gib": peak(),
    }


def apart(what: str, args: argparse.Namespace, users: int) -> dict[str, Any]:
    """What a fresh process says of one size."""
    shared = [f"--{name}={getattr(args, name)}" for name in ("events", "items", "visit", "shift", "seed", "cache", "clock")]
    command = [sys.executable, __file__, "--child", what, "--users", users, *shared]
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def slope(rows: list[dict[str, Any]], key: str) -> float | None:
    """The power of the events with which a time grows."""
    if len(rows) < 2:
        return None
    return float(np.polyfit(np.log([row["events"] for row in rows]), np.log([row[key] for row in rows]), 1)[0])


def tell(told: dict[str, Any]) -> None:
    """Print the results as tables, which Markdown can take over."""
    console, rows = Console(width=128), told["sizes"]
    sizes = Table(title="A whole analysis", box=MARKDOWN)
    for heading in (
        "users",
        "events",
        "answered",
        "store: s",
        "GiB",
        "vectors, interests: s",
        "analysis: s",
        "all: s",
        "peak GiB",
    ):
        sizes.add_column(heading, justify="right")
    for row in rows:
        sizes.add_row(
            *(f"{row[k]:,}" for k in ("users", "events", "answered")),
            *(f"{row['store'][k]:.1f}" for k in ("seconds", "gib")),
            *(f"{s:.1f}" for s in (row["ready"]["seconds"], row["seconds"], row["total_seconds"])),
            f"{row['gib']:.2f}",
        )
    console.print(sizes)
    parts = Table(title="Its parts, seconds, and GiB at the peak until then", box=MARKDOWN)
    parts.add_column("part")
    for row in rows:
        parts.add_column(f"{row['users']:,} users: s", justify="right")
        parts.add_column("GiB", justify="right")
    for name in rows[-1]["parts"]:
        held = [row["parts"][name] for row in rows]
        parts.add_row(f"`{name}`", *(cell for one in held for cell in (f"{one['seconds']:.1f}", f"{one['gib']:.2f}")))
    console.print(parts)
    if told["power"] is not None:
        console.print(f"time grows with events to the power {told['power']:.2f}, peak memory {told['memory_power']:.2f}")
    last = rows[-1]
    met = last["total_seconds"] < GOALS["seconds"] and last["gib"] < GOALS["gib"]
    console.print(
        f"goal for 100,000 users x 50 events, {GOALS['seconds']:.0f} s and {GOALS['gib']:.0f} GiB: the largest size here "
        f"({last['users']:,} users) {'keeps' if met else 'does not keep'} within it"
    )


def plot(told: dict[str, Any]) -> bytes:
    """The PNG of time and memory against events."""
    import matplotlib

    from interestlab.reporting.colours import BLUE, GREY, RED
    from interestlab.reporting.matplotlib_figures import STYLE, create_figure, png_bytes

    rows = told["sizes"]
    events = [row["events"] / 1e6 for row in rows]
    with matplotlib.rc_context(STYLE):
        drawn, (left, right) = create_figure(3.0, 2)
        left.plot(events, [row["total_seconds"] for row in rows], "o-", color=RED, label="all")
        for name, style in (("users", "s-"), ("changed", "^--"), ("cluster_users", "v--"), ("flow_table", "D--")):
            left.plot(events, [row["parts"][name]["seconds"] for row in rows], style, lw=1.2, ms=4, label=f"`{name}`")
        left.set_title("seconds of an analysis")
        left.legend(fontsize=8, frameon=False)
        right.plot(events, [row["gib"] for row in rows], "o-", color=BLUE)
        right.set_title("GiB at the peak")
        right.axhline(GOALS["gib"], color=GREY, lw=0.9, ls="--")
        for panel in (left, right):
            panel.set_xlabel("million events")
            panel.set_xlim(0)
            panel.set_ylim(0)
        return png_bytes(drawn)


def parse(argv: list[str]) -> argparse.Namespace:
    about, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=about, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", nargs="+", type=int, default=[25_000, 50_000, 100_000], help="of each log")
    parser.add_argument("--events", type=float, default=50, help="mean number a user")
    parser.add_argument("--items", type=int, default=5_000, help="of the catalogue")
    parser.add_argument("--visit", type=float, default=2, help="mean number of events a session; 1: what costs most")
    parser.add_argument("--shift", type=float, default=0.5, help="of the settings; the larger, the more users are tested")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: for a shared CPU")
    parser.add_argument("--seed", type=int, default=0, help="of the log")
    parser.add_argument("--cache", type=Path, help="folder of the stores; default: one that is deleted again")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    parser.add_argument("--plot", type=Path, help="PNG file of the plot")
    parser.add_argument("--child", choices=["build", "analysis"], help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    args = parse(argv)
    if args.child:
        work = {"build": build, "analysis": analysis}[args.child]
        print(json.dumps(work(args, args.users[0])))
        return
    with tempfile.TemporaryDirectory() as folder:
        args.cache = args.cache or Path(folder)
        rows = []
        for users in sorted(args.users):
            store = apart("build", args, users)
            rows.append(apart("analysis", args, users) | {"store": store})
            print(f"{users:,} users: {rows[-1]['total_seconds']:.1f} s, {rows[-1]['gib']:.2f} GiB", file=sys.stderr)
    told = {"sizes": rows, "power": slope(rows, "total_seconds"), "memory_power": slope(rows, "gib")}
    if args.out:
        args.out.write_text(json.dumps(told, indent=1))
    if args.plot:
        args.plot.write_bytes(plot(told))
    tell(told)


if __name__ == "__main__":
    main(sys.argv[1:])
