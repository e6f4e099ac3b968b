"""Run one trial of a sweep: claim it by a lock, fit it in a process of its own, and record how it ended.

In the sweep's folder a trial has ``trials/ID``, the folder of its run, and next to it ``ID.log`` and ``ID.lock``. It is done
or failed when ``trials/ID/trial.json`` says so; a folder without that file was left by a process that was killed.
"""

import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

from filelock import FileLock, Timeout

from interestlab.sweep.trials import Trial
from interestlab.utils.atomic_files import write_text_atomic

Status = Literal["done", "failed", "pruned"]


@dataclass(frozen=True)
class Record:
    """How a trial ended.

    Attributes:
        trial: its id.
        labels: label of each axis.
        seed: seed of the run.
        status: ``done``, with metrics, or ``failed``; a trial of a search may be ``pruned``, stopped early.
        reason: why it failed or was stopped.
        seconds: run time of its process.
        validations: for a trial that was stopped early, the number of validations that the decision is based on.
    """

    trial: str
    labels: Mapping[str, str]
    seed: int
    status: Status
    reason: str | None
    seconds: float
    validations: int | None = None


def run_folder(folder: Path, trial: str) -> Path:
    """Return the folder of a trial's run.

    Args:
        folder: folder of the sweep.
        trial: its id.
    """
    return folder / "trials" / trial


def log_file(folder: Path, trial: str) -> Path:
    """Return the file with the output of a trial.

    Args:
        folder: folder of the sweep.
        trial: its id.
    """
    return folder / "trials" / f"{trial}.log"


def lock(folder: Path, trial: str) -> FileLock:
    """Return the lock of the process that runs a trial. The system releases it when that process ends, however it ends.

    Args:
        folder: folder of the sweep.
        trial: its id.
    """
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "trials" / f"{trial}.lock", timeout=0)


def read_record(folder: Path, trial: str) -> Record | None:
    """Return how a trial ended, or None if it has not.

    Args:
        folder: folder of the sweep.
        trial: its id.
    """
    file = run_folder(folder, trial) / "trial.json"
    return Record(**json.loads(file.read_text("utf-8"))) if file.exists() else None


def forget(folder: Path, trial: str) -> None:
    """Let a trial that ended run again, unless another process is running it.

    Args:
        folder: folder of the sweep.
        trial: its id.
    """
    try:
        with lock(folder, trial):
            (run_folder(folder, trial) / "trial.json").unlink(missing_ok=True)
    except Timeout:
        return


def command(trial: Trial, folder: Path) -> list[str]:
    """Return the command of a trial's process, which reads its settings from standard input.

    Args:
        trial: one of the sweep.
        folder: folder of the sweep.
    """
    return [sys.executable, "-m", "interestlab.sweep.child", str(run_folder(folder, trial.id))]


def environment(trial: Trial, threads: int) -> dict[str, str]:
    """Return the environment of a trial's process; variables that the user has set stay.

    Args:
        trial: one of the sweep.
        threads: number of CPU threads that it may use.
    """
    ours = {
        "OMP_NUM_THREADS": str(threads),
        "WANDB_RUN_GROUP": trial.sweep,
        "WANDB_JOB_TYPE": trial.job_type,
        "PYTHONUNBUFFERED": "1",
    }
    return ours | os.environ


class Running:
    """A trial that this process has claimed and started.

    Args:
        trial: one of the sweep.
        folder: folder of the sweep.
        threads: number of CPU threads that it may use.
        claimed: its lock, which is released when the trial ends.
    """

    validations: int | None = None

    def __init__(self, trial: Trial, folder: Path, threads: int, claimed: FileLock) -> None:
        self.trial, self.claimed = trial, claimed
        self.folder, self.log = run_folder(folder, trial.id), log_file(folder, trial.id)
        discard(self.folder)
        with self.log.open("w", encoding="utf-8") as log:
            log.write(f"$ interestlab fit {shlex.join(trial.arguments(self.folder))}\n")
            log.flush()
            self.started = time.monotonic()
            self.process = subprocess.Popen(
                command(trial, folder),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(trial, threads),
                start_new_session=True,  # Ctrl-C is for the sweep, which stops its trials itself
            )
        self._send_settings()

    def _send_settings(self) -> None:
        """Write the settings to the process, and leave the stream open: its end would end the process."""
        level = logging.getLevelName(logging.getLogger("interestlab").getEffectiveLevel()).lower()
        settings = {"settings": self.trial.fit_settings, "configs": [str(file) for file in self.trial.base]}
        assert self.process.stdin
        with suppress(BrokenPipeError):  # it has ended already, and its log says why
            self.process.stdin.write(json.dumps(settings | {"log_level": level}).encode() + b"\n")
            self.process.stdin.flush()

    @classmethod
    def claim(cls, trial: Trial, folder: Path, threads: int) -> Self | None:
        """Start a trial, unless it has ended or another process runs it.

        Args:
            trial: one of the sweep.
            folder: folder of the sweep.
            threads: number of CPU threads that it may use.
        """
        with ExitStack() as stack:
            try:
                claimed = lock(folder, trial.id)
                stack.enter_context(claimed)
            except Timeout:
                return None
            if read_record(folder, trial.id):
                return None
            running = cls(trial, folder, threads, claimed)
            stack.pop_all()  # the lock stays until the trial ends
            return running

    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        return self.process.poll() is not None

    def finish(self) -> Record:
        """Wait for the end of the process, and record it."""
        code = self.process.wait()
        seconds = round(time.monotonic() - self.started, 1)
        trial = self.trial
        record = Record(trial.id, trial.labels, trial.seed, *self.outcome(code), seconds, self.validations)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(self.folder / "trial.json", json.dumps(asdict(record), indent=1, ensure_ascii=False))
        self.release()
        return record

    def outcome(self, code: int) -> tuple[Status, str | None]:
        """Return how the trial ended, and why.

        Args:
            code: exit status of its process; negative for a signal.
        """
        if code == 0 and (self.folder / "metrics.json").exists():
            return "done", None
        return "failed", f"{failure_message(self.log)} ({describe_exit(code)})"

    def kill(self) -> None:
        """End the process, and leave the trial to the next sweep."""
        if not self.has_ended():
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
        self.process.wait()
        self.release()

    def release(self) -> None:
        """Let other processes claim the trial."""
        if self.process.stdin:
            with suppress(BrokenPipeError):
                self.process.stdin.close()
        self.claimed.release()


def run(trial: Trial, folder: Path, threads: int) -> Record | None:
    """Run one trial to its end.

    Args:
        trial: one of the sweep.
        folder: folder of the sweep.
        threads: number of CPU threads that it may use.

    Returns:
        How it ended; None if it had ended before, or if another process runs it.
    """
    running = Running.claim(trial, folder, threads)
    if running is None:
        return None
    try:
        return running.finish()
    except BaseException:
        running.kill()
        raise


def discard(folder: Path) -> None:
    """Remove the run of a killed process. It is renamed first, so that no half-removed run is ever read.

    Args:
        folder: folder of the run.
    """
    if folder.exists():
        renamed = folder.with_name(f"{folder.name}.left")
        shutil.rmtree(renamed, ignore_errors=True)
        folder.rename(renamed)
        shutil.rmtree(renamed, ignore_errors=True)


def describe_exit(code: int) -> str:
    """Return how a process ended, in words.

    Args:
        code: its exit status; negative for a signal.
    """
    if code >= 0:
        return f"exit status {code}" if code else "exit status 0, without metrics.json"
    name = signal.Signals(-code).name
    return f"ended by {name}, as when memory runs out" if name == "SIGKILL" else f"ended by {name}"


ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b|interestlab[ \w]*: ")
"""Start of the log line that explains why a Python program ended."""


def failure_message(log: Path) -> str:
    """Return the log line that most likely explains why the process ended.

    Args:
        log: output of the process.
    """
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2**16))
        text = file.read().decode("utf-8", errors="replace")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    lines = [line.strip() for line in plain.splitlines() if re.search(r"\w", line) and not line.startswith(("wandb:", "$ "))]
    message = next((line for line in reversed(lines) if ERROR.match(line)), lines[-1] if lines else "it printed nothing")
    return message[:500]
