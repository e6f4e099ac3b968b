"""Print results as tables that Markdown accepts."""

from collections.abc import Sequence

from rich.box import MARKDOWN
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table


def make_console() -> Console:
    """Return a console of standard output that does not wrap the rows of a table."""
    return Console(width=200, highlight=False)


def make_table(title: str | None, headings: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> Table:
    """Return a Markdown table.

    Args:
        title: printed above the table; None: no title.
        headings: one per column.
        rows: cells of each row.
        text_columns: how many columns, from the left, hold text; the others are aligned to the right.
    """
    table = Table(title=title, box=MARKDOWN)
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="left" if column < text_columns else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def verdict(is_met: bool, goal: str) -> str:
    """Return a goal and whether it was met, in green or red."""
    return f"[green]goal {goal}: met[/]" if is_met else f"[red]goal {goal}: missed[/]"


def format_number(value: float | None, form: str = "{:,.3g}") -> str:
    """Return a number for a cell; a dash if it was not measured."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else form.format(value)


def join_items(values: dict[str, object], separator: str = ", ") -> str:
    """Return names and values in one line, integers with thousands separators."""
    return separator.join(f"{k} {v:,}" if type(v) is int else f"{k} {v}" for k, v in values.items())


def make_progress(*columns: ProgressColumn, disable: bool = False) -> Progress:
    """Return a progress bar on standard error.

    Args:
        columns: shown after the elapsed time.
        disable: show nothing.
    """
    shown = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), *columns)
    return Progress(*shown, console=Console(stderr=True), disable=disable)
