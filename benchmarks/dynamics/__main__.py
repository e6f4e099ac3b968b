"""``python -m benchmarks.dynamics``."""

import sys

import torch

from benchmarks.dynamics.measure import measure
from benchmarks.dynamics.options import parse_options
from benchmarks.dynamics.report import print_results
from benchmarks.harness.provenance import write_results
from benchmarks.harness.tables import make_progress


def main(arguments: list[str]) -> None:
    """Run the benchmark."""
    options = parse_options(arguments)
    if options.plot:
        from benchmarks.dynamics.figure import draw_costs  # before measuring: it stops if matplotlib is missing
    torch.set_num_threads(options.threads)
    with make_progress() as progress:
        results = measure(options, progress)
    write_results(options.out, results)
    if options.plot:
        options.plot.write_bytes(draw_costs(results))
    print_results(results)


if __name__ == "__main__":
    main(sys.argv[1:])
