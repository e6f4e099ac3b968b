"""Print what a log contains, and its pitfalls, with the --data options of fit."""

from rich.console import Console
from rich.table import Table

from interestlab.config.data_options import open_data
from interestlab.data.summary import describe


def run(args: list[str]) -> None:
    """Build the store if it is absent, and describe its log.

    Args:
        args: the options.
    """
    data = open_data("data describe", "Print what a log contains, and its pitfalls.", args)
    print(f"store: {data.log.folder}")
    facts, warnings = describe(data.log)
    table = Table("what", "value", title=f"{data.log.meta['source']}, {data.preparation.split}, ties {data.preparation.ties}")
    for name, value in facts.items():
        table.add_row(name, value)
    console = Console()
    console.print(table)
    for warning in warnings:
        console.print(f"[yellow]warning:[/] {warning}")
