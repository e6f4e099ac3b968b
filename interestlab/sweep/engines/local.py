"""Trials as processes of this machine, some at a time."""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from interestlab.sweep.display import Display
from interestlab.sweep.engines import threads
from interestlab.sweep.running import Running
from interestlab.sweep.trials import Trial

PAUSE = 0.1
"""Seconds between two looks at the processes."""


def run(trials: Sequence[Trial], folder: Path, workers: int, display: Display) -> None:
    """Run the trials that nobody else runs, ``workers`` at a time."""
    waiting, running = deque(trials), list[Running]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                if started := Running.claim(waiting.popleft(), folder, threads(workers)):
                    running.append(started)
                    display.started(started.trial)
            for one in [one for one in running if one.ended()]:
                running.remove(one)
                display.ended(one.trial, one.finish())
            time.sleep(PAUSE)
    finally:
        for one in running:
            one.kill()
