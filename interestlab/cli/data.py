"""``interestlab data describe | prepare``: look at a log, or build its store, with the flags that ``fit`` takes."""

import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from interestlab.config import plugin_names, safe_yaml
from interestlab.config.one_line_errors import told_in_one_line
from interestlab.config.parser import OneLineParser
from interestlab.data.datamodule import InterestData
from interestlab.data.summary import describe
from interestlab.errors import DataError


def run(args: list[str]) -> None:
    """Describe a log, or prepare its store."""
    plugin_names.install()
    parser = OneLineParser("interestlab data", description="Look at a log, or build its store.")
    commands = parser.add_subcommands(required=True)
    for name, about in {"describe": "print what the log holds, and what to beware of", "prepare": "build the store"}.items():
        command = OneLineParser(description=about)
        command.add_argument("-c", "--config", action="config", help="A config as `fit` takes it; only its data is read.")
        command.add_class_arguments(InterestData, "data")
        commands.add_subcommand(name, command, help=about)
    with told_in_one_line():
        config = parser.parse_args(plugin_names.ordered(only(args[1:], "data")))
        data: InterestData = parser.instantiate(config)[config.subcommand].data
        print(f"store: {data.log.folder}")
        if config.subcommand == "describe":
            tell(data)


def only(args: list[str], *keys: str) -> list[str]:
    """The command line with each config file cut down to some of its keys.

    Raises:
        DataError: a config cannot be read.
    """
    out, it = [], iter(args)
    for arg in it:
        name, equals, value = arg.partition("=")
        if name not in ("-c", "--config"):
            out.append(arg)
            continue
        file = Path(value if equals else next(it, ""))
        config = safe_yaml.file(file) or {}
        if not isinstance(config, dict):
            raise DataError(f"config {file} must be a mapping, as `interestlab fit --print_config` prints it.")
        out.append(f"--config={json.dumps({key: config[key] for key in keys if config.get(key) is not None})}")
    return out


def tell(data: InterestData) -> None:
    """Print the description of a log, and its warnings."""
    facts, warnings = describe(data.log)
    table = Table("what", "value", title=f"{data.log.meta['source']}, {data.preparation.split}, ties {data.preparation.ties}")
    for name, value in facts.items():
        table.add_row(name, value)
    console = Console()
    console.print(table)
    for warning in warnings:
        console.print(f"[yellow]warning:[/] {warning}")
