"""``python -m benchmarks.serving``."""

import sys
import tempfile
from pathlib import Path

from benchmarks.harness.provenance import write_results
from benchmarks.serving.measure import measure
from benchmarks.serving.options import parse_options
from benchmarks.serving.report import print_results


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    options = parse_options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(options, Path(folder))
    write_results(options.out, results)
    print_results(results)


if __name__ == "__main__":
    main(sys.argv[1:])
