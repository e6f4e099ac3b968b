"""``python -m benchmarks.finetuning_cost``."""

import sys
import tempfile
from pathlib import Path

from benchmarks.finetuning_cost.measure import measure
from benchmarks.finetuning_cost.options import parse_options
from benchmarks.finetuning_cost.report import print_results
from benchmarks.harness.provenance import write_results
from benchmarks.harness.tables import make_progress
from interestlab.training.fit import hide_expected_messages


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    options = parse_options(arguments)
    hide_expected_messages()
    with tempfile.TemporaryDirectory() as folder, make_progress() as progress:
        results = measure(options, Path(folder), progress)
    write_results(options.out, results)
    print_results(results)


if __name__ == "__main__":
    main(sys.argv[1:])
