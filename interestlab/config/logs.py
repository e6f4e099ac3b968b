"""Log levels of the command line: ``-v`` and ``--log_level``, which every command takes."""

import logging
import sys

from interestlab.config.arguments import Argument, extract, join, split
from interestlab.errors import DataError

OPTION = "--log_level"
LEVELS = ("debug", "info", "warning", "error")


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Write to the standard error of the moment, which tests and progress bars replace."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def take_options(args: list[str]) -> list[str]:
    """Set the level of interestlab's loggers from a command line; ``info`` by default, ``debug`` with ``-v``.

    Args:
        args: the command line.

    Returns:
        The command line without these options.

    Raises:
        DataError: there is no such level.
    """
    level, rest = "info", list[Argument]()
    for argument in split(args):
        if argument.option == "-v" and not argument.joined:
            level = "debug"
            rest += [Argument("", argument.values)] if argument.values else []
        else:
            rest.append(argument)
    pairs, words = extract(join(rest), {OPTION})
    for _, value in pairs:
        if value.lower() not in LEVELS:
            raise DataError(f"{OPTION}={value} is unknown; give one of {', '.join(LEVELS)}.")
        level = value.lower()
    configure(level)
    return words


def configure(level: str) -> None:
    """Write the log records of interestlab from ``level`` on to standard error, one line each."""
    logger = logging.getLogger("interestlab")
    logger.setLevel(level.upper())
    if not any(isinstance(handler, _StderrHandler) for handler in logger.handlers):
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger.addHandler(handler)
    logger.propagate = False
