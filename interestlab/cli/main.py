"""Run the command that is named on the command line, importing no more than it needs."""

import ast
import importlib
import sys
from pathlib import Path
from typing import Any

from interestlab import __version__
from interestlab.config import import_policy, logs
from interestlab.config.one_line_errors import one_line_errors
from interestlab.errors import DataError
from interestlab.install_hints import library_hint


def main(args: list[str] | None = None) -> None:
    """Run one command.

    Args:
        args: the command line without the program's name; default ``sys.argv[1:]``.

    Raises:
        SystemExit: with status 2 after an error that the user can correct, printed as one line.
    """
    run(sys.argv[1:] if args is None else args)


def run(args: list[str]) -> Any:
    """Run one command, and return what it returns: ``fit`` and its like the objects that ran.

    Args:
        args: the command line without the program's name.

    Raises:
        SystemExit: with status 2 after an error that the user can correct, printed as one line.
    """
    if not args or args[0] in ("-h", "--help"):
        print(f"{usage(commands())}\n\n`interestlab COMMAND --help` lists its options.")
        return None
    if args[0] == "--version":
        print(f"interestlab {__version__}")
        return None
    with one_line_errors():
        args = import_policy.take_option(logs.take_options(args))
        name = command_of(args)
        try:
            module = importlib.import_module(f"interestlab.cli.{name.replace(' ', '_')}")
            return module.run(args[len(name.split()) :])
        except ModuleNotFoundError as err:
            if not (hint := library_hint(err)):
                raise
            raise DataError(f"{err}{hint}") from err


def commands() -> dict[str, Path]:
    """Return the file of each command. Commands of several words follow those of one."""
    files = (file for file in Path(__file__).parent.glob("[a-z]*.py") if file.stem != "main")
    return {file.stem.replace("_", " "): file for file in sorted(files)}


def command_of(args: list[str]) -> str:
    """Return the command that a command line starts with: the longest that fits.

    Args:
        args: the command line without the program's name.

    Raises:
        SystemExit: there is no such command; with 0 for the help of a group such as ``data``.
    """
    files = commands()
    for length in (2, 1):
        if (name := " ".join(args[:length])) in files:
            return name
    group = {name: file for name, file in files.items() if name.split()[0] == args[0]}
    if not group:
        raise SystemExit(f"interestlab: there is no command '{args[0]}'\n\n{usage(files)}")
    if args[1:2] in (["-h"], ["--help"]):
        print(usage(group))
        raise SystemExit(0)
    raise DataError(f"'{' '.join(args[:2])}' is not a command; there are {', '.join(group)}.")


def usage(files: dict[str, Path]) -> str:
    """Return the list of some commands, with the first line of each module's docstring.

    Args:
        files: file of each command.
    """
    width = max(map(len, files))
    lines = [f"  {name:{width}}  {description(file)}" for name, file in files.items()]
    return "\n".join(["usage: interestlab COMMAND [options]", "", *lines])


def description(file: Path) -> str:
    """Return the first line of a module's docstring, without importing the module.

    Args:
        file: the module.
    """
    return (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]
