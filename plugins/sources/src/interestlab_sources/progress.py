"""A bar for long reads, by bytes of the file, since the number of lines is unknown until the end."""

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 2.0
"""Seconds without a bar: a read that is over by then needs none."""


class ByteBar:
    """Shows how far a file is read once that takes over :data:`PATIENCE` seconds, on a terminal only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = time.monotonic() + PATIENCE
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    def at(self, position: int) -> None:
        """Report that the first ``position`` bytes are read."""
        if self._progress is None:
            if time.monotonic() < self._due:
                return
            self._progress = self._start()
        self._progress.update(self._progress.task_ids[0], completed=position)

    def _start(self) -> Progress:
        console = Console(stderr=True)  # stdout belongs to the command's answer
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        progress.add_task(f"reading {self._path.name}", total=self._path.stat().st_size)
        progress.start()
        return progress
