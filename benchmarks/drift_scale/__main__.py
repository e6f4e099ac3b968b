"""``python -m benchmarks.drift_scale``."""

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.drift_scale import report
from benchmarks.drift_scale.options import parse_options
from benchmarks.drift_scale.sizes import measure_sizes


def main(arguments: list[str]) -> None:
    """Run the benchmark, or in a child process one stage of one size."""
    options = parse_options(arguments)
    if options.child:
        from benchmarks.drift_scale.stages import STAGES

        print(json.dumps(STAGES[options.child](options, options.users[0])))
        return
    if options.plot:
        from benchmarks.drift_scale.figure import draw_costs  # before measuring: it stops if matplotlib is missing
    with tempfile.TemporaryDirectory() as folder:
        options.cache = options.cache or Path(folder)
        results = measure_sizes(options)
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))
    if options.plot:
        options.plot.write_bytes(draw_costs(results))
    report.print_results(results)


if __name__ == "__main__":
    main(sys.argv[1:])
