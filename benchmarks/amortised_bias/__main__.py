"""``python -m benchmarks.amortised_bias``."""

import sys
import tempfile
from pathlib import Path

from benchmarks.amortised_bias.measure import measure
from benchmarks.amortised_bias.options import parse_options
from benchmarks.amortised_bias.report import print_results
from benchmarks.harness.provenance import write_results
from interestlab.training.fit import hide_expected_messages


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    options = parse_options(arguments)
    hide_expected_messages()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(options, Path(folder))
    write_results(options.out, results)
    print_results(results)


if __name__ == "__main__":
    main(sys.argv[1:])
