"""What runs the trials of a sweep: processes of this machine, a Ray cluster, or agents of a W&B sweep.

Each module has ``run(trials, folder, workers, display)``, which returns when nothing is left for it to run.
"""

import os


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(workers: int) -> int:
    """Threads of each of so many trials at once."""
    return max(1, cores() // workers)
