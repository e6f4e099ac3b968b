"""A Markdown table of runs: the mean over seeds and its interval, one row a configuration.

    python benchmarks/table.py runs/mi-id-ewma-0 runs/mi-id-ewma-1 ...

Runs whose folders differ only in what follows the last ``-`` are seeds of one configuration. The interval is that of
Student's t over seeds (none for a single one); it says nothing of which users were drawn, for which see each run's
``metrics.json``. Runs with different data fingerprints are refused: their numbers cannot be compared.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

from interestlab.stats.intervals import t_interval

METRICS = ("test/recall@10", "test/ndcg@10")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    told = {run.name: json.loads((run / "metrics.json").read_text()) for run in parser.parse_args().runs}
    prints = {
        json.dumps({k: v for k, v in t["fingerprint"].items() if k not in ("seed", "data_seed")}, sort_keys=True)
        for t in told.values()
    }
    if len(prints) > 1:
        sys.exit("these runs have different data fingerprints and cannot be compared:\n" + "\n".join(sorted(prints)))
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for name, metrics in told.items():
        rows[name.rpartition("-")[0]].append(metrics)
    print("| run | seeds | " + " | ".join(m.removeprefix("test/") for m in METRICS) + " |\n|---|---|" + "---|" * len(METRICS))
    for name, seeds in rows.items():
        print(f"| {name} | {len(seeds)} | " + " | ".join(str(t_interval([s[m] for s in seeds])) for m in METRICS) + " |")
    print("\nFingerprint: `" + ", ".join(f"{k}={v}" for k, v in json.loads(prints.pop()).items()) + "`")


if __name__ == "__main__":
    main()
