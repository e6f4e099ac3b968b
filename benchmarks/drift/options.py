"""Command-line options. Imports nothing heavy."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import drift
from benchmarks.harness.options import make_parser

SECTIONS = ("migration", "rank", "where", "changes", "momentum", "evidence")
QUICK = {
    "users": 240,
    "seeds": 2,
    "repeats": 3,
    "events": [20, 50],
    "lengths": [100],
    "vectors": ["users"],
    "online": 60,
}
"""Values of ``--quick``."""


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the checked options."""
    parser = make_parser(drift)
    parser.add_argument("--users", type=int, default=400, help="users of each log, a third of each kind")
    parser.add_argument("--seeds", type=int, default=4, help="logs of each setting")
    parser.add_argument("--events", nargs="+", type=int, default=[10, 20, 50, 100], metavar="n", help="events per window")
    parser.add_argument("--lengths", nargs="+", type=int, default=[50, 100, 200], metavar="L", help="sessions around a change")
    parser.add_argument("--categories", type=int, default=20, help="interests, K")
    parser.add_argument("--items", type=int, default=800, help="items of the catalogue")
    vectors = ["minilm", "users"]
    parser.add_argument("--vectors", nargs="+", choices=vectors, default=vectors, help="item vectors: by title or by users")
    parser.add_argument("--draws", type=int, default=199, help="permutations of the tests of migration and evolution")
    parser.add_argument("--scans", type=int, default=999, help="permutations of the scan for a change")
    parser.add_argument("--online", type=int, default=200, help="users of each log that the online detector reads")
    parser.add_argument("--repeats", type=int, default=20, help="logs of each momentum")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, help="sections to measure")
    parser.add_argument("--quick", action="store_true", help="about a minute: fewer users, seeds, repeats and lengths")
    parser.add_argument("--cache", type=Path, help="folder of the stores; default: a temporary one")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    parser.add_argument("--plots", type=Path, help="write the figures into this folder")
    options = parser.parse_args(arguments)
    if options.quick:
        vars(options).update(QUICK)
    if options.users < 30 or options.seeds < 1 or min(options.events) < 2:
        parser.error("--users must be at least 30, --seeds 1 and --events 2")
    return options
