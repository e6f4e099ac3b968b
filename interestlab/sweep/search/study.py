"""The search of one combination: an Optuna study in the sweep's folder, which any number of processes may continue.

``search/ID.jsonl`` is Optuna's journal. A trial enters it with all of its settings, in one line, before its process starts, and
its result is added when the process has ended. A trial without a result is run again with the same settings.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from interestlab.sweep.running import Record, read_record, run_folder
from interestlab.sweep.search.journal import open_journal
from interestlab.sweep.search.proposals import distributions, next_point
from interestlab.sweep.search.space import space_settings
from interestlab.sweep.search.trial import RunningSearch, SearchTrial, validation_values
from interestlab.sweep.spec import Spec
from interestlab.sweep.spec_values import Settings
from interestlab.sweep.trials import readable_name, settings_digest, with_files

STATES = {"done": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
"""State in Optuna by status of a record."""


class Study:
    """The search of one combination of labels.

    Args:
        spec: the sweep; it has a search.
        labels: label of each axis.
        folder: folder of the sweep.
    """

    def __init__(self, spec: Spec, labels: Mapping[str, str], folder: Path) -> None:
        assert spec.search
        self.spec, self.labels, self.folder, self.search = spec, labels, folder, spec.search
        self.space = spec.search.space_of(labels)
        self.distributions = distributions(self.space)
        self.name = f"{readable_name(spec, labels)}-search"
        # A larger budget continues a search; anything else starts another one.
        space = {name: with_files(asdict(entry), Path()) for name, entry in self.space.items()}
        identity = (space, spec.seeds[0], *(getattr(self.search, key) for key in ("metric", "seed", "pruner", "prune_after")))
        self.id = f"{self.name}-{settings_digest(spec, labels, spec.settings(labels), *identity)}"
        self.file = folder / "search" / f"{self.id}.jsonl"
        self.lock = FileLock(self.file.with_suffix(".lock"))
        self.claimed: dict[int, RunningSearch] = {}
        self.is_exhausted = False
        median = optuna.pruners.MedianPruner(n_warmup_steps=self.search.prune_after - 1)
        self.pruner = median if self.search.pruner == "median" else optuna.pruners.NopPruner()
        self.study = self.open() if self.file.exists() else None

    def open(self) -> optuna.Study:
        """Open the journal, which is created if it does not exist."""
        return open_journal(self.file, self.lock, "minimize" if self.search.is_minimised else "maximize")

    def trials(self) -> list[FrozenTrial]:
        """Return the trials that count, by number; a failed trial that was started again counts once."""
        if self.study is None:
            return []
        retried = self.study.user_attrs.get("retried", [])
        return [trial for trial in self.study.get_trials(deepcopy=False) if trial.number not in retried]

    def is_spent(self) -> bool:
        """Return whether the budget allows no further trial."""
        trials = self.trials()
        if self.search.trials is not None and len(trials) >= self.search.trials:
            return True
        seconds = sum(trial.user_attrs.get("seconds", 0) for trial in trials)
        seconds += sum(time.monotonic() - running.started for running in self.claimed.values())
        return self.search.minutes is not None and seconds >= 60 * self.search.minutes

    def is_over(self) -> bool:
        """Return whether the search has run all of its trials."""
        trials = self.trials()
        if any(not trial.state.is_finished() for trial in trials):
            return False
        return self.is_spent() or (bool(trials) and self.next_point() is None)

    def best(self) -> FrozenTrial | None:
        """Return the best trial that was not stopped early, the first of several; None if there is none."""
        done = [trial for trial in self.trials()[: self.search.trials] if trial.state is TrialState.COMPLETE]
        sign = -1 if self.search.is_minimised else 1
        return max(done, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def value(self, number: int) -> float | None:
        """Return the result of a trial; None if it has none.

        Args:
            number: number of the trial.
        """
        assert self.study
        return self.study.get_trials(deepcopy=False)[number].value

    def settings(self, trial: FrozenTrial) -> Settings:
        """Return the settings that a trial adds to those of the combination.

        Args:
            trial: trial of the study.
        """
        return space_settings(self.space, trial.params)

    def search_trial(self, trial: FrozenTrial) -> SearchTrial:
        """Return the fit of a trial.

        Args:
            trial: trial of the study.
        """
        settings = self.spec.settings(self.labels) | self.settings(trial)
        digest = settings_digest(self.spec, self.labels, settings, self.id)
        name, seed = f"{self.name}{trial.number:03d}-{digest}", self.spec.seeds[0]
        return SearchTrial(name, self.spec.name, self.labels, seed, self.spec.base, settings, trial.number, self.search.metric)

    def claim(self, threads: int) -> RunningSearch | None:
        """Start a trial, one that a killed process left or a new one, unless the budget is spent.

        Args:
            threads: number of CPU threads that it may use.
        """
        self.study = self.study or self.open()
        for trial in self.unfinished():
            if running := RunningSearch.claim(self.search_trial(trial), self.folder, threads):
                self.claimed[trial.number] = running
                return running
        proposed = self.propose()
        if proposed is None:
            return None
        running = RunningSearch.claim(self.search_trial(proposed), self.folder, threads)
        if running:
            self.claimed[proposed.number] = running
        return running

    def unfinished(self) -> Iterator[FrozenTrial]:
        """Yield the trials without a result that this process does not run, after adding the results that were recorded."""
        for trial in self.trials():
            if not trial.state.is_finished() and trial.number not in self.claimed:
                if record := read_record(self.folder, self.search_trial(trial).id):
                    self.conclude(trial.number, record)
                else:
                    yield trial

    def propose(self) -> FrozenTrial | None:
        """Add a trial with settings that were not tried before; None if the budget is spent or all settings were tried."""
        with self.lock:
            assert self.study
            if self.is_spent():
                return None
            params = self.next_point()
            if params is None:
                return None
            self.study.add_trial(create_trial(state=TrialState.RUNNING, params=params, distributions=self.distributions))
            return self.study.get_trials(deepcopy=False)[-1]

    def next_point(self) -> dict[str, Any] | None:
        """Return the settings of the next trial, as label or number by name; None if all were tried."""
        assert self.study
        if not self.is_exhausted:
            trials = self.study.get_trials(deepcopy=False)
            point = next_point(self.space, trials, self.study.direction, self.search.seed)
            self.is_exhausted = point is None
            return point
        return None

    def stop_if_worse(self, running: RunningSearch) -> None:
        """Stop a trial if the pruner says so.

        Validations are judged in their order, so the result does not depend on when they are read.

        Args:
            running: trial that this process runs.
        """
        if running.reason:
            return
        assert self.study
        trial, values = self.study.get_trials(deepcopy=False)[running.trial.number], running.values()
        for count in range(self.search.prune_after, len(values) + 1):
            so_far = create_trial(
                state=TrialState.RUNNING,
                params=trial.params,
                distributions=trial.distributions,
                intermediate_values=dict(enumerate(values[:count])),
            )
            if self.pruner.prune(self.study, so_far):
                metric, best = self.search.metric, self.best_of(values[:count])
                running.stop(f"{metric} {best:.4f} after {count} validations is worse than the median", count)
                return

    def best_of(self, values: Sequence[float]) -> float:
        """Return the best of some values of the metric.

        Args:
            values: at least one value.
        """
        return min(values) if self.search.is_minimised else max(values)

    def finish(self, running: RunningSearch) -> Record:
        """Record a trial whose process has ended.

        Args:
            running: trial that this process ran.
        """
        record = running.finish()
        self.conclude(running.trial.number, record)
        del self.claimed[running.trial.number]
        return record

    def conclude(self, number: int, record: Record) -> None:
        """Add the result of a trial to the journal, unless another process has added it.

        Args:
            number: number of the trial.
            record: how it ended.
        """
        with self.lock:
            assert self.study
            trial = self.study.get_trials(deepcopy=False)[number]
            if trial.state.is_finished():
                return
            values = validation_values(run_folder(self.folder, record.trial), self.search.metric)[: record.validations]
            handle = optuna.trial.Trial(self.study, trial._trial_id)  # `tell` alone adds no values of validations
            for step, value in enumerate(values):
                if step not in trial.intermediate_values:
                    handle.report(value, step)
            handle.set_user_attr("seconds", record.seconds)
            state = STATES[record.status]
            self.study.tell(number, self.best_of(values) if state is TrialState.COMPLETE else None, state=state)

    def retry_failed(self) -> None:
        """Add each failed trial once more, with the same settings and a new number; the failed one no longer counts."""
        if self.study is None:
            return
        with self.lock:
            for trial in self.trials():
                if trial.state is TrialState.FAIL:
                    again = create_trial(state=TrialState.RUNNING, params=trial.params, distributions=self.distributions)
                    self.study.add_trial(again)
                    self.study.set_user_attr("retried", [*self.study.user_attrs.get("retried", []), trial.number])
