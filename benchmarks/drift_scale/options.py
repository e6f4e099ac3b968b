"""Command-line options."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import drift_scale
from benchmarks.harness.options import add_clock_option, make_parser

LOG_OPTIONS = ("events", "items", "visit", "shift", "seed", "cache", "clock")
"""Options that the processes of all sizes share."""


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = make_parser(drift_scale)
    parser.add_argument("--users", nargs="+", type=int, default=[25_000, 50_000, 100_000], help="users of each log")
    parser.add_argument("--events", type=float, default=50, help="mean events per user")
    parser.add_argument("--items", type=int, default=5_000, help="items of the catalogue")
    parser.add_argument("--visit", type=float, default=2, help="mean events per session; 1 costs most")
    parser.add_argument(
        "--shift", type=float, default=0.5, help="drift.detectable_shift; the larger, the more users are tested"
    )
    add_clock_option(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the log")
    parser.add_argument("--cache", type=Path, help="folder of the stores; default: a temporary one")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    parser.add_argument("--plot", type=Path, help="write the figure to this PNG file")
    parser.add_argument("--child", choices=["build", "analysis"], help=argparse.SUPPRESS)
    return parser.parse_args(arguments)
