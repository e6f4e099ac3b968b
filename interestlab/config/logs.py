"""Log levels of the command line: ``-v`` and ``--log_level``, which every command takes."""

import logging
import os
import sys

from interestlab.config.arguments import Argument, extract, join, split
from interestlab.errors import DataError
from interestlab.registry import REGISTRIES

OPTION = "--log_level"
LEVELS = ("debug", "info", "warning", "error")


class _StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Write to the current ``sys.stderr``, which tests and progress bars replace."""

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
    """Write the log records of interestlab and of the plugins to standard error, one line each.

    Of the processes of a job, only the first writes records below a warning.

    Args:
        level: lowest level that is written.
    """
    handler = _StderrHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(lambda record: record.levelno >= logging.WARNING or is_first_process())
    for name in ("interestlab", *plugin_modules()):
        logger = logging.getLogger(name)
        logger.setLevel(level.upper())
        logger.handlers = [other for other in logger.handlers if not isinstance(other, _StderrHandler)] + [handler]
        logger.propagate = False


def plugin_modules() -> list[str]:
    """Return the top-level modules of the installed plugins."""
    entries = (entry for kind in REGISTRIES.values() for name in kind.names() for entry in kind.entry_points(name))
    return sorted({entry.module.partition(".")[0] for entry in entries})


def is_first_process() -> bool:
    """Return whether this is the first or the only process of a job, from the variables that launchers set."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return next((rank for rank in ranks if rank is not None), "0") == "0"
