"""What a sweep shows while it runs: what is done, what runs for how long, and how long it will take."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from interestlab.sweep.running import Record
from interestlab.sweep.trials import Trial


class Display:
    """Progress on standard error; a line for each trial that has ended.

    Args:
        total: trials of the sweep.
        done: of them, before this process began.
        failed: of them, likewise.
    """

    def __init__(self, total: int, done: int, failed: int) -> None:
        self.done, self.failed, self.total = done, failed, total
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            speed_estimate_period=float("inf"),  # a trial takes longer than the half minute that rich looks back
        )
        self.whole = self.progress.add_task("trials", total=total, completed=done + failed, told=self.told)
        self.running: dict[str, TaskID] = {}

    @property
    def told(self) -> str:
        """The counts."""
        return f"{self.done}/{self.total} done" + (f", {self.failed} failed" if self.failed else "")

    def __enter__(self) -> Self:
        self.progress.start()
        self.progress.advance(self.whole, 0)  # from here on the speed is measured
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def started(self, trial: Trial) -> None:
        """A trial runs."""
        self.running[trial.id] = self.progress.add_task(f"  {escape(trial.id)}", total=None, told="")

    def ended(self, trial: Trial, record: Record | None) -> None:
        """A trial has ended; without a record, in another process."""
        self.progress.remove_task(self.running.pop(trial.id))
        if record is None:
            return
        if record.status == "done":
            self.done += 1
            self.console.print(f"[green]done[/] {escape(trial.id)} after {record.seconds:.0f} s", soft_wrap=True)
        else:
            self.failed += 1
            self.console.print(f"[red]failed[/] {escape(trial.id)}: {escape(str(record.reason))}", soft_wrap=True)
        self.progress.update(self.whole, advance=1, told=self.told)

    def lost(self, trial: Trial, why: str) -> None:
        """A trial ended without a word, and is left to the next sweep."""
        self.progress.remove_task(self.running.pop(trial.id))
        self.console.print(f"[red]lost[/] {escape(trial.id)}: {escape(why)}", soft_wrap=True)
