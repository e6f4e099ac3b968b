"""Command-line options."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import serving
from benchmarks.harness.options import make_parser


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = make_parser(serving)
    parser.add_argument("--users", type=int, default=50_000, help="users of the log")
    parser.add_argument("--items", type=int, default=100_000, help="items of the log")
    parser.add_argument("--events", type=float, default=5, help="mean events per user in the log")
    parser.add_argument("--rates", nargs="+", type=float, default=[500, 1000, 1500], help="requests per second")
    parser.add_argument("--seconds", type=float, default=60, help="seconds at each rate")
    parser.add_argument("--duplicates", type=float, default=0.1, help="share of requests that repeat an earlier one")
    parser.add_argument("--peer_rate", type=float, default=20, help="requests per second to FastAPI; 0 leaves it out")
    parser.add_argument("--seed", type=int, default=0, help="seed of the log and of the requests")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    return parser.parse_args(arguments)
