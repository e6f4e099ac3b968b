"""One trial of a sweep: claimed by a lock, run as a process of its own, written down when it has ended.

In the sweep's folder a trial has ``trials/ID``, the folder of its run, and beside it ``ID.log`` and ``ID.lock``. It is done
or failed when ``trials/ID/trial.json`` says so; what lies in a folder without it was left by a process that was killed.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

from filelock import FileLock, Timeout

from interestlab.sweep.trials import Trial
from interestlab.utils.atomic_files import write_text_atomic


@dataclass(frozen=True)
class Record:
    """How a trial ended.

    Attributes:
        trial: its id.
        labels: of each axis.
        seed: of the run.
        status: ``done``, with metrics; or ``failed``.
        reason: why it failed.
        seconds: that its process took.
    """

    trial: str
    labels: Mapping[str, str]
    seed: int
    status: Literal["done", "failed"]
    reason: str | None
    seconds: float


def run_folder(folder: Path, trial: str) -> Path:
    """The folder of a trial's run."""
    return folder / "trials" / trial


def log_file(folder: Path, trial: str) -> Path:
    """What a trial printed."""
    return folder / "trials" / f"{trial}.log"


def lock(folder: Path, trial: str) -> FileLock:
    """Held by the process that runs a trial; the system lets it go when that process ends, however it ends."""
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "trials" / f"{trial}.lock", timeout=0)


def record(folder: Path, trial: str) -> Record | None:
    """How a trial ended; None where it has not."""
    file = run_folder(folder, trial) / "trial.json"
    return Record(**json.loads(file.read_text("utf-8"))) if file.exists() else None


def forget(folder: Path, trial: str) -> None:
    """Let a trial that ended be run again, unless another process just does."""
    try:
        with lock(folder, trial):
            (run_folder(folder, trial) / "trial.json").unlink(missing_ok=True)
    except Timeout:
        return


def command(trial: Trial, folder: Path) -> list[str]:
    """The process of a trial."""
    return [sys.executable, "-m", "interestlab.sweep.child", *trial.arguments(run_folder(folder, trial.id))]


def environment(trial: Trial, threads: int) -> dict[str, str]:
    """The environment of a trial's process; what the user has set stays."""
    ours = {"OMP_NUM_THREADS": str(threads), "WANDB_RUN_GROUP": trial.sweep, "WANDB_JOB_TYPE": "trial", "PYTHONUNBUFFERED": "1"}
    return ours | os.environ


class Running:
    """A trial that this process has claimed and started."""

    def __init__(self, trial: Trial, folder: Path, threads: int, held: FileLock) -> None:
        self.trial, self.held = trial, held
        self.folder, self.log = run_folder(folder, trial.id), log_file(folder, trial.id)
        discard(self.folder)
        with self.log.open("w", encoding="utf-8") as log:
            log.write(f"$ interestlab {shlex.join(trial.arguments(self.folder))}\n")
            log.flush()
            self.began = time.monotonic()
            self.process = subprocess.Popen(
                command(trial, folder),
                stdin=subprocess.PIPE,  # see `child`
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(trial, threads),
                start_new_session=True,  # Ctrl-C is the sweep's: it stops its trials itself
            )

    @classmethod
    def claim(cls, trial: Trial, folder: Path, threads: int) -> Self | None:
        """Start a trial, unless it has ended or another process runs it."""
        with ExitStack() as stack:
            try:
                held = lock(folder, trial.id)
                stack.enter_context(held)
            except Timeout:
                return None
            if record(folder, trial.id):
                return None
            running = cls(trial, folder, threads, held)
            stack.pop_all()  # held until the trial ends
            return running

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def finish(self) -> Record:
        """Wait for the end, and write down how it was."""
        code = self.process.wait()
        done = code == 0 and (self.folder / "metrics.json").exists()
        reason = None if done else f"{last_words(self.log)} ({ending(code)})"
        seconds = round(time.monotonic() - self.began, 1)
        trial = self.trial
        made = Record(trial.id, trial.labels, trial.seed, "done" if done else "failed", reason, seconds)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(self.folder / "trial.json", json.dumps(asdict(made), indent=1, ensure_ascii=False))
        self.release()
        return made

    def kill(self) -> None:
        """End the process, and leave the trial to the next sweep."""
        if not self.ended():
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()
        self.process.wait()
        self.release()

    def release(self) -> None:
        """Let others have the trial."""
        if self.process.stdin:
            self.process.stdin.close()
        self.held.release()


def run(trial: Trial, folder: Path, threads: int) -> Record | None:
    """Run one trial to its end; None where it is none of ours."""
    running = Running.claim(trial, folder, threads)
    if running is None:
        return None
    try:
        return running.finish()
    except BaseException:
        running.kill()
        raise


def discard(folder: Path) -> None:
    """Remove what a killed run left. It is moved away first, so that nothing is found half removed."""
    if folder.exists():
        left = folder.with_name(f"{folder.name}.left")
        shutil.rmtree(left, ignore_errors=True)
        folder.rename(left)
        shutil.rmtree(left, ignore_errors=True)


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit status {code}" if code else "exit status 0, without metrics.json"
    name = signal.Signals(-code).name
    return f"ended by {name}, as when memory runs out" if name == "SIGKILL" else f"ended by {name}"


ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b|interestlab[ \w]*: ")
"""How the line begins that says why a Python program ended."""


def last_words(log: Path) -> str:
    """The line of a log that most likely says why it ends."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2**16))
        text = file.read().decode("utf-8", errors="replace")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")
    lines = [line.strip() for line in plain.splitlines() if re.search(r"\w", line) and not line.startswith(("wandb:", "$ "))]
    said = next((line for line in reversed(lines) if ERROR.match(line)), lines[-1] if lines else "it printed nothing")
    return said[:500]
