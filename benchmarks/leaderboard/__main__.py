"""``python -m benchmarks.leaderboard``."""

import sys

from benchmarks.leaderboard.measure import measure_baselines, run_sweep
from benchmarks.leaderboard.options import parse_options
from benchmarks.leaderboard.report import write_table


def main(arguments: list[str]) -> None:
    """Train what is missing, and write the table of each log."""
    options = parse_options(arguments)
    for name in options.logs:
        if not options.no_training:
            run_sweep(options, name)
        print(write_table(options, name, measure_baselines(options, name)))


if __name__ == "__main__":
    main(sys.argv[1:])
