"""YAML from anywhere, held to a size and a depth before it is built: a few aliases can stand for billions of values."""

import re
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

from interestlab.errors import DataError

MOST_VALUES = 200_000
DEEPEST = 60
LONGEST_TEXT = 5_000_000
LONGEST_NUMBER = 1000

_BASE_60 = re.compile(r"[-+]?[0-9_]+:[0-9_:.]+")
"""1:30:00 is a number, and one of many parts takes the square of its length."""

_as_jsonargparse_reads = get_loader("yaml")


def install() -> None:
    """Let every jsonargparse parser read YAML within the limits."""
    set_loader("yaml", limited, exceptions=(yaml.YAMLError,))


def limited(text: str) -> Any:
    """What jsonargparse itself makes of ``text``, once it is known to be of bounded size.

    Raises:
        yaml.YAMLError: it is not YAML, or beyond the limits.
    """
    check(text)
    return told_apart(_as_jsonargparse_reads, text)


def load(text: str) -> Any:
    """What ``yaml.safe_load`` makes of ``text``.

    Raises:
        yaml.YAMLError: it is not YAML, or beyond the limits.
    """
    check(text)
    return told_apart(yaml.safe_load, text)


def file(path: Path) -> Any:
    """What ``yaml.safe_load`` makes of a file.

    Raises:
        DataError: it cannot be read, is not YAML, or is beyond the limits.
    """
    try:
        return load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise DataError(f"{path}: the config cannot be read: {' '.join(str(err).split())[:300]}.") from err


def told_apart(loader: Any, text: str) -> Any:
    """``loader(text)``, whose errors over single values (a date that is none, an int of a million digits) are YAML's own."""
    try:
        return loader(text)
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as err:
        raise yaml.YAMLError(f"a value cannot be read: {err}") from err


def check(text: str) -> None:
    """Count the values of a text with its aliases written out.

    Raises:
        yaml.YAMLError: they are too many, nested too deeply, or an alias holds itself; the text or a number is too long.
    """
    if len(text) > LONGEST_TEXT:
        raise yaml.YAMLError(f"over {LONGEST_TEXT:,} characters")
    sizes: dict[str, int] = {}
    stack: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        anchor, size = getattr(event, "anchor", None), 1
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append((anchor, 0))
            if len(stack) > DEEPEST:
                raise yaml.YAMLError(f"nested over {DEEPEST} deep")
            continue
        if isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                raise yaml.YAMLError(f"*{anchor} holds itself, or stands for nothing")
            size = sizes[anchor]
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, held = stack.pop()
            size = held + 1
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        elif event.implicit[0] and len(event.value) > LONGEST_NUMBER and _BASE_60.fullmatch(event.value):
            raise yaml.YAMLError(f"a number of over {LONGEST_NUMBER:,} characters")
        if anchor and not isinstance(event, yaml.AliasEvent):
            sizes[anchor] = size
        name, held = stack.pop()
        stack.append((name, held + size))
        if held + size > MOST_VALUES:
            raise yaml.YAMLError(f"over {MOST_VALUES:,} values with its aliases written out")
