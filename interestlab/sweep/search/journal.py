"""Optuna's journal of a search: a file of JSON lines that any number of processes may continue."""

from pathlib import Path
from typing import Literal

import optuna
from filelock import FileLock
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

optuna.logging.set_verbosity(optuna.logging.WARNING)


def open_journal(file: Path, lock: FileLock, direction: Literal["minimize", "maximize"]) -> optuna.Study:
    """Open a journal, and create it if it does not exist.

    Args:
        file: the journal.
        lock: lock of all its writers.
        direction: ``minimize`` or ``maximize``.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with lock:
        end_with_a_line(file)
        storage = JournalStorage(JournalFileBackend(str(file), lock_obj=JournalLock(lock)))
        sampler = RandomSampler(0)  # not used: see `proposals`
        return optuna.create_study(
            storage=storage, sampler=sampler, study_name=file.stem, direction=direction, load_if_exists=True
        )


class JournalLock(JournalFileOpenLock):
    """Let Optuna's journal use a lock that the system releases when its process ends.

    Args:
        lock: lock of the study.
    """

    def __init__(self, lock: FileLock) -> None:
        self.lock = lock

    def acquire(self) -> bool:
        self.lock.acquire()
        return True

    def release(self) -> None:
        self.lock.release()


def end_with_a_line(file: Path) -> None:
    """Remove an incomplete last line, which a killed process left.

    Args:
        file: a journal, which need not exist.
    """
    if file.exists() and not (content := file.read_bytes()).endswith(b"\n"):
        with file.open("r+b") as journal:
            journal.truncate(content.rfind(b"\n") + 1)
