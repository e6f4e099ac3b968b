"""Command-line options."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import leaderboard
from benchmarks.harness.options import make_parser
from benchmarks.leaderboard.logs import LOGS


def parse_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the checked options."""
    parser = make_parser(leaderboard)
    parser.add_argument("--data", type=Path, required=True, help="folder with one folder per log")
    parser.add_argument("--out", type=Path, default=Path("runs/leaderboard"), help="folder of the sweeps")
    parser.add_argument("--tables", type=Path, default=Path("docs/results/leaderboard"), help="folder of the tables")
    parser.add_argument("--logs", nargs="+", choices=LOGS, default=list(LOGS), metavar="LOG", help=f"of {', '.join(LOGS)}")
    parser.add_argument("--dynamics", nargs="+", metavar="NAME", help="train these only; the tables show all that are done")
    parser.add_argument("--seeds", help="train these seeds only, such as 0,1")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    parser.add_argument("--no_training", action="store_true", help="write the tables of what is done")
    options = parser.parse_args(arguments)
    for name in options.logs:
        if not (folder := options.data / LOGS[name].folder).is_dir():
            parser.error(f"{folder} does not exist; see --logs and --data")
    return options
