"""Trials as tasks of a Ray cluster: that of ``RAY_ADDRESS``, else one of this machine alone.

The nodes see the same folders under the same paths, and have the same packages.
"""

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from interestlab.errors import DataError
from interestlab.sweep import running
from interestlab.sweep.display import Display
from interestlab.sweep.engines import threads
from interestlab.sweep.trials import Trial


def run(trials: Sequence[Trial], folder: Path, workers: int, display: Display) -> None:
    """Run the trials that nobody else runs, as many at a time as the cluster has room for.

    Raises:
        DataError: Ray is not installed.
    """
    try:
        ray = import_module("ray")  # which ships no types where it is not installed
    except ModuleNotFoundError as err:
        raise DataError("the engine ray is not installed: pip install 'interestlab[ray]'.") from err
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    try:
        # A task that wants more than the largest node has would wait for ever.
        cpus = min(threads(workers), max(int(node["Resources"].get("CPU", 1)) for node in ray.nodes()))
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(run_there)
        left = {task.remote(trial, folder, cpus, str(Path.cwd())): trial for trial in trials}
        for trial in trials:
            display.started(trial)
        while left:
            (ended, *_), _ = ray.wait(list(left))
            trial = left.pop(ended)
            try:
                display.ended(trial, ray.get(ended))
            except ray.exceptions.RayError as err:  # its node is gone: the next sweep runs it
                display.lost(trial, str(err).splitlines()[0])
    finally:
        ray.shutdown()


def run_there(trial: Trial, folder: Path, cpus: int, cwd: str) -> running.Record | None:
    """One trial on a node, in the working folder of the sweep."""
    os.chdir(cwd)
    return running.run(trial, folder, cpus)
