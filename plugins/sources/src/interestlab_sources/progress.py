"""Progress bar for reading large files, in bytes, since the number of lines is unknown until the end."""

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

DELAY = 2.0
"""Seconds before the bar appears."""


class ByteBar:
    """Progress bar that appears after :data:`DELAY` seconds, and only on a terminal.

    Args:
        path: the file that is read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = time.monotonic() + DELAY
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, position: int) -> None:
        """Show the progress.

        Args:
            position: number of bytes that have been read.
        """
        if self._progress is None:
            if time.monotonic() < self._due:
                return
            self._progress = self._start()
        self._progress.update(self._progress.task_ids[0], completed=position)

    def _start(self) -> Progress:
        console = Console(stderr=True)  # stdout is for the command's result
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        progress.add_task(f"reading {self._path.name}", total=self._path.stat().st_size)
        progress.start()
        return progress
