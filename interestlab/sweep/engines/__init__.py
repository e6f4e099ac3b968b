"""Engines that run the trials of a sweep: local processes, a Ray cluster, or agents of a W&B sweep.

Each module has ``run(trials, folder, workers, display)``, which returns when it has no more trials to run.
"""

import os


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_per_trial(workers: int) -> int:
    """Return the number of threads of each trial.

    Args:
        workers: number of trials at a time.
    """
    return max(1, cores() // workers)
