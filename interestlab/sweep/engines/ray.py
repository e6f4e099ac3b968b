"""Run trials as tasks of a Ray cluster: that of ``RAY_ADDRESS``, or a local one.

All nodes need the same folders under the same paths, and the same packages.
"""

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from interestlab.errors import DataError
from interestlab.sweep import running
from interestlab.sweep.display import Display
from interestlab.sweep.engines import threads_per_trial
from interestlab.sweep.trials import Trial


def run(trials: Sequence[Trial], folder: Path, workers: int, display: Display) -> None:
    """Run the trials that no other process runs, as many at a time as the cluster has room for.

    Args:
        trials: the trials to run.
        folder: folder of the sweep.
        workers: number of trials that would share one node.
        display: shows their progress.

    Raises:
        DataError: Ray is not installed.
    """
    try:
        ray = import_module("ray")  # untyped if Ray is not installed
    except ModuleNotFoundError as err:
        raise DataError("the engine ray is not installed: pip install 'interestlab[ray]'.") from err
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    try:
        # A task that needs more cores than the largest node has would wait forever.
        cpus = min(threads_per_trial(workers), max(int(node["Resources"].get("CPU", 1)) for node in ray.nodes()))
        gpus = 1 if ray.cluster_resources().get("GPU") else 0
        task = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(run_on_node)
        pending = {task.remote(trial, folder, cpus, str(Path.cwd())): trial for trial in trials}
        for trial in trials:
            display.started(trial)
        while pending:
            (ended, *_), _ = ray.wait(list(pending))
            trial = pending.pop(ended)
            try:
                display.ended(trial, ray.get(ended))
            except ray.exceptions.RayError as err:  # the node is gone: the next sweep runs the trial
                display.lost(trial, str(err).splitlines()[0])
    finally:
        ray.shutdown()


def run_on_node(trial: Trial, folder: Path, cpus: int, cwd: str) -> running.Record | None:
    """Run one trial on a node.

    Args:
        trial: the trial to run.
        folder: folder of the sweep.
        cpus: number of threads.
        cwd: working directory of the sweep.
    """
    os.chdir(cwd)
    return running.run(trial, folder, cpus)
