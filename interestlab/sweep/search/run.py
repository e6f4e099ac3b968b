"""Run the searches of a sweep as processes of this machine, some at a time."""

import time
from collections.abc import Sequence

from interestlab.sweep.engines import threads_per_trial
from interestlab.sweep.search.display import SearchDisplay
from interestlab.sweep.search.study import Study
from interestlab.sweep.search.trial import RunningSearch

POLL_SECONDS = 0.2
"""Time between two looks at the metrics of the running trials."""

WAIT_SECONDS = 2.0
"""Time between two attempts to start a trial while other processes run those that remain."""


def run(studies: Sequence[Study], workers: int, display: SearchDisplay) -> None:
    """Run all searches to their end.

    The combinations take turns, so that no two trials of a combination run at once while enough combinations have budget left.
    Up to then a search with several workers chooses as it would with one.

    Args:
        studies: the search of each combination.
        workers: number of trials at a time.
        display: shows their progress.
    """
    running, next_look = list[tuple[Study, RunningSearch]](), 0.0
    try:
        while True:
            while len(running) < workers and time.monotonic() >= next_look:
                started = start(studies, workers)
                if started is None:
                    next_look = time.monotonic() + WAIT_SECONDS
                    break
                running.append(started)
                display.started(started[1].trial)
            if not running and all(study.is_over() for study in studies):
                return
            for study, trial in list(running):
                has_ended = trial.has_ended()  # before its metrics are read, so that none of them is missed
                study.stop_if_worse(trial)
                if has_ended:
                    display.search_ended(study, trial.trial, study.finish(trial))
                    running.remove((study, trial))
                    next_look = 0.0
            time.sleep(POLL_SECONDS)
    finally:
        for _, trial in running:
            trial.kill()


def start(studies: Sequence[Study], workers: int) -> tuple[Study, RunningSearch] | None:
    """Start a trial of the combination that has the fewest running trials, and of these the fewest trials.

    Args:
        studies: the search of each combination.
        workers: number of trials at a time.

    Returns:
        The study and its trial; None if there is none to start.
    """
    for study in sorted(studies, key=lambda study: (len(study.claimed), len(study.trials()))):
        if running := study.claim(threads_per_trial(workers)):
            return study, running
    return None
