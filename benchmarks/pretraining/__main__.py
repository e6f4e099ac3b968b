"""``python -m benchmarks.pretraining``."""

import logging
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.provenance import write_results
from benchmarks.pretraining.measure import measure
from benchmarks.pretraining.options import parse_options
from benchmarks.pretraining.report import print_results
from interestlab.training.fit import hide_expected_messages


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    options = parse_options(arguments)
    hide_expected_messages()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        for results in measure(options, options.folder or Path(temporary)):
            write_results(options.out, results)  # after each seed, so that a run that is stopped leaves those before
    print_results(results)


if __name__ == "__main__":
    main(sys.argv[1:])
