"""Show the progress of a sweep: the trials that are done, those that are running, and the remaining time."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from interestlab.sweep.running import Record
from interestlab.sweep.trials import Trial

COLOURS = {"done": "green", "failed": "red", "pruned": "yellow"}
"""Colour of a line by status."""


class Display:
    """Progress bars on standard error, and a line for each trial that ends.

    Args:
        total: number of trials; None if it is not known.
        done: number of them that were done before this process started.
        failed: number of them that had failed before this process started.
        pruned: number of them that had been stopped early before this process started.
        title: text beside the bar.
    """

    def __init__(self, total: int | None, done: int, failed: int, pruned: int = 0, title: str = "trials") -> None:
        self.total = total
        self.ends = {"done": done, "failed": failed, "pruned": pruned}
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            speed_estimate_period=float("inf"),  # a trial takes longer than the half minute that rich looks back
        )
        self.total_task = self.progress.add_task(title, total=total, completed=sum(self.ends.values()), counts=self.counts)
        self.running: dict[str, TaskID] = {}

    @property
    def counts(self) -> str:
        """Return the numbers of trials that are done, that failed and that were stopped early."""
        total = "" if self.total is None else f"/{self.total}"
        other = [f", {self.ends[status]} {status}" for status in ("pruned", "failed") if self.ends[status]]
        return f"{self.ends['done']}{total} done{''.join(other)}"

    def __enter__(self) -> Self:
        self.progress.start()
        self.progress.advance(self.total_task, 0)  # starts the measurement of the speed
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def started(self, trial: Trial) -> None:
        """Show a trial that started.

        Args:
            trial: the trial.
        """
        self.running[trial.id] = self.progress.add_task(f"  {escape(trial.id)}", total=None, counts="")

    def ended(self, trial: Trial, record: Record | None, note: str = "") -> None:
        """Show that a trial ended.

        Args:
            trial: the trial.
            record: how it ended; None if another process runs it.
            note: text that follows, for a trial that is done.
        """
        self.progress.remove_task(self.running.pop(trial.id))
        if record is None:
            return
        self.ends[record.status] += 1
        text = f" after {record.seconds:.0f} s{note}" if record.status == "done" else f": {record.reason}"
        self.console.print(f"[{COLOURS[record.status]}]{record.status}[/] {escape(trial.id + text)}", soft_wrap=True)
        self.progress.update(self.total_task, advance=1, counts=self.counts)

    def lost(self, trial: Trial, why: str) -> None:
        """Show that a trial ended without a record, and is left to the next sweep.

        Args:
            trial: the trial.
            why: the reason.
        """
        self.progress.remove_task(self.running.pop(trial.id))
        self.console.print(f"[red]lost[/] {escape(trial.id)}: {escape(why)}", soft_wrap=True)
