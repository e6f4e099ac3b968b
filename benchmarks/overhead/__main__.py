"""``python -m benchmarks.overhead``."""

import sys
import tempfile
from pathlib import Path

from rich.progress import TimeRemainingColumn

from benchmarks.harness.provenance import write_results
from benchmarks.harness.tables import make_progress
from benchmarks.overhead.options import parse_options


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    options = parse_options(arguments)
    if options.against:
        from benchmarks.overhead import revisions

        comparison = revisions.compare_revisions(options)
        write_results(options.out, comparison)
        revisions.print_comparison(comparison)
        return

    from benchmarks.overhead.measure import measure
    from benchmarks.overhead.report import print_results
    from interestlab.training.fit import hide_expected_messages

    hide_expected_messages()
    with tempfile.TemporaryDirectory() as folder, make_progress(TimeRemainingColumn(), disable=options.bar) as progress:
        results = measure(options, Path(folder), progress)
    write_results(options.out, results)
    print_results(results)


if __name__ == "__main__":
    main(sys.argv[1:])
