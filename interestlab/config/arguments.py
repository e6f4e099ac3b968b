"""Split a command line into options with their values; every reader of raw arguments goes through here."""

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interestlab.errors import DataError

CONFIG = ("-c", "--config")

_OPTION = re.compile("-[-A-Za-z]")
"""How an option starts; ``-3`` is a value."""


@dataclass(frozen=True)
class Argument:
    """An option with the words up to the next option, or a run of positional words.

    Attributes:
        option: such as ``--model.dim``; empty for positional words.
        values: the words that follow, or the one value of ``--option=value``.
        joined: the option was typed as ``--option=value``.
    """

    option: str
    values: tuple[str, ...]
    joined: bool = False

    @property
    def words(self) -> list[str]:
        """The words as they were typed."""
        if self.joined:
            return [f"{self.option}={self.values[0]}"]
        return [self.option, *self.values] if self.option else list(self.values)


def split(args: Iterable[str]) -> list[Argument]:
    """Split a command line. How many values an option takes is unknown here, so it gets every word up to the next option.

    Args:
        args: the command line.
    """
    arguments: list[Argument] = []
    for word in args:
        if _OPTION.match(word):
            option, equals, value = word.partition("=")
            arguments.append(Argument(option, (value,) if equals else (), bool(equals)))
        elif arguments and not arguments[-1].joined:
            arguments[-1] = replace(arguments[-1], values=(*arguments[-1].values, word))
        else:
            arguments.append(Argument("", (word,)))
    return arguments


def join(arguments: Iterable[Argument]) -> list[str]:
    """Return the command line that :func:`split` reads as ``arguments``.

    Args:
        arguments: arguments of the command line.
    """
    return [word for argument in arguments for word in argument.words]


def values_of(args: Iterable[str], *options: str) -> list[str]:
    """Return all values of an option, given by all of its spellings; an option without a value counts as an empty one.

    Args:
        args: the command line.
        options: all spellings of the option.
    """
    return [(argument.values or ("",))[0] for argument in split(args) if argument.option in options]


def last_value(args: Iterable[str], option: str) -> str | None:
    """Return the last value of an option, or None if it is absent.

    Args:
        args: the command line.
        option: its name.
    """
    return next(reversed(values_of(args, option)), None)


def extract(
    args: Iterable[str], options: Collection[str] = (), prefix: str | None = None
) -> tuple[list[tuple[str, str]], list[str]]:
    """Take options of one value each out of a command line.

    Args:
        args: the command line.
        options: names of the options to take.
        prefix: also take every option with this prefix.

    Returns:
        Pairs of option and value, and the remaining command line.

    Raises:
        DataError: one of the options has no value.
    """
    pairs, rest = [], list[str]()
    for argument in split(args):
        if argument.option not in options and not (prefix and argument.option.startswith(prefix)):
            rest += argument.words
        elif not argument.values:
            raise DataError(f"{argument.option} needs a value: {argument.option}=VALUE.")
        else:
            pairs.append((argument.option, argument.values[0]))
            rest += argument.values[1:]
    return pairs, rest


def in_order(args: Iterable[str]) -> list[str]:
    """Sort a command line: positional words, configs, then ``--a.b`` before ``--a.b.c``.

    A plugin is then named before its arguments, and every option wins over every config, wherever it was typed.

    Args:
        args: the command line.
    """

    def depth(argument: Argument) -> int:
        if not argument.option:
            return -2
        return -1 if argument.option in CONFIG else argument.option.count(".")

    return join(sorted(split(args), key=depth))


def from_settings(settings: Mapping[str, Any], configs: Sequence[str | Path] = ()) -> list[str]:
    """Return the command line of some settings.

    Args:
        settings: options without their dashes, and their values; values that are not text are written as JSON.
        configs: config files that the settings win over.
    """
    options = (f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items())
    return [*(f"--config={file}" for file in configs), *options]
