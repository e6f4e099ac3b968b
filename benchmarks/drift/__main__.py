"""``python -m benchmarks.drift``."""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.drift.options import parse_options


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    options, start = parse_options(arguments), time.perf_counter()
    from benchmarks.drift.measure import describe_values, measure
    from benchmarks.drift.report import print_results
    from benchmarks.harness.provenance import write_results
    from benchmarks.harness.tables import make_progress

    if options.plots:
        from benchmarks.drift.figures import draw_figures  # before measuring: it stops if matplotlib is missing
        from benchmarks.harness.figures import write_figures
    with tempfile.TemporaryDirectory() as folder, make_progress() as progress:
        options.cache = options.cache or Path(folder)
        values = measure(options, progress)
    seconds = time.perf_counter() - start
    write_results(options.out, describe_values(options, values, seconds))
    print_results(options, values)
    print(f"{seconds:.0f} s")
    if options.plots:
        write_figures(options.plots, draw_figures(options, values))


if __name__ == "__main__":
    main(sys.argv[1:])
