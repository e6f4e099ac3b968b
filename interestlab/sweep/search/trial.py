"""One fit of a search, in a process of its own: it is validated but not tested, and may be stopped early."""

import json
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from interestlab.sweep.running import Record, Running, Status
from interestlab.sweep.spec_values import Settings
from interestlab.sweep.trials import Trial

STOP_SECONDS = 60.0
"""Time that a process gets to end after SIGTERM, in which it writes a checkpoint; then it is killed."""


@dataclass(frozen=True)
class SearchTrial(Trial):
    """A fit of a search.

    Attributes:
        number: its number in the study of its combination.
        metric: validation metric that the search optimises.
    """

    number: int
    metric: str
    job_type: ClassVar[str] = "search"

    @property
    def fit_settings(self) -> Settings:
        """Return all options of the fit, apart from its folder."""
        return super().fit_settings | {"test_after_fit": False}


class RunningSearch(Running):
    """A fit of a search that this process has claimed and started. It can be stopped early; then it is recorded as pruned."""

    trial: SearchTrial
    reason: str | None = None
    deadline = float("inf")

    def values(self) -> list[float]:
        """Return the metric at each validation so far."""
        return validation_values(self.folder, self.trial.metric)

    def stop(self, reason: str, validations: int) -> None:
        """Ask the process to end.

        Args:
            reason: why, for the record.
            validations: number of validations that the decision is based on.
        """
        self.reason, self.validations, self.deadline = reason, validations, time.monotonic() + STOP_SECONDS
        if not self.has_ended():
            self.process.send_signal(signal.SIGTERM)

    def has_ended(self) -> bool:
        """Return whether the process has ended; kill it if it was asked to end and has not done so in time."""
        if time.monotonic() > self.deadline and self.process.poll() is None:
            self.process.kill()
        return super().has_ended()

    def outcome(self, code: int) -> tuple[Status, str | None]:
        if self.reason:
            return "pruned", self.reason
        if code != 0:
            return super().outcome(code)
        if self.values():
            return "done", None
        return "failed", f"its metrics.jsonl has no {self.trial.metric}"

    def finish(self) -> Record:
        """Wait for the end of the process, and record it. Its checkpoints are removed: nothing reads them."""
        record = super().finish()
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        return record


def validation_values(run: Path, metric: str) -> list[float]:
    """Return the values of a metric in the order of the validations; NaN and infinite values are left out.

    Args:
        run: folder of a run that is not resumed.
        metric: name of the metric.
    """
    file = run / "metrics.jsonl"
    if not file.exists():
        return []
    # The last line is incomplete while the process writes it.
    lines = [line for line in file.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n") and metric in line]
    values = [json.loads(line).get(metric) for line in lines]
    return [value for value in values if value is not None]
