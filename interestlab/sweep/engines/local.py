"""Run trials as processes of this machine, some at a time."""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from interestlab.sweep.display import Display
from interestlab.sweep.engines import threads_per_trial
from interestlab.sweep.running import Running
from interestlab.sweep.trials import Trial

POLL_SECONDS = 0.1


def run(trials: Sequence[Trial], folder: Path, workers: int, display: Display) -> None:
    """Run the trials that no other process runs.

    Args:
        trials: the trials to run.
        folder: folder of the sweep.
        workers: number of trials at a time.
        display: shows their progress.
    """
    waiting, running = deque(trials), list[Running]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                if claimed := Running.claim(waiting.popleft(), folder, threads_per_trial(workers)):
                    running.append(claimed)
                    display.started(claimed.trial)
            for ended in [trial for trial in running if trial.has_ended()]:
                running.remove(ended)
                display.ended(ended.trial, ended.finish())
            time.sleep(POLL_SECONDS)
    finally:
        for trial in running:
            trial.kill()
