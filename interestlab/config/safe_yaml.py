"""Read YAML from untrusted files: size, nesting and numbers are limited before any value is built."""

import re
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader

from interestlab.errors import DataError

MAX_VALUES = 200_000
MAX_DEPTH = 60
MAX_CHARACTERS = 5_000_000
MAX_NUMBER = 1000

_BASE_60 = re.compile(r"[-+]?[0-9_]+:[0-9_:.]+")
"""1:30:00 is a number in YAML 1.1, and reading one takes quadratic time in its length."""

_read_as_jsonargparse = get_loader("yaml")


def install() -> None:
    """Make every jsonargparse parser read YAML within the limits."""
    set_loader("yaml", config_text, exceptions=(yaml.YAMLError,))


def config_text(text: str) -> Any:
    """Read a text in jsonargparse's dialect of YAML, in which ``1e-3`` is a number.

    Args:
        text: the config.

    Raises:
        yaml.YAMLError: the text is not YAML, or exceeds the limits.
    """
    check_limits(text)
    try:
        return _read_as_jsonargparse(text)
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as err:
        raise yaml.YAMLError(f"a value cannot be read: {err}") from err


def config_file(path: Path) -> Any:
    """Read a config file.

    Args:
        path: the config.

    Raises:
        DataError: the file cannot be read, is not YAML, or exceeds the limits.
    """
    try:
        return config_text(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise DataError(f"{path}: the config cannot be read: {' '.join(str(err).split())[:300]}.") from err


def is_file(path: Path) -> bool:
    """Return whether a path is a file; False for a text that no path can be.

    Args:
        path: may be any text.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def check_limits(text: str) -> None:
    """Check the size and the nesting of a YAML text, with its aliases expanded.

    The events of libyaml are counted instead of the nodes of a ``SafeLoader``: ``CSafeLoader`` composes nodes recursively
    in C and crashes the process on a million brackets, and the loader in Python takes ten times as long.

    Args:
        text: the YAML.

    Raises:
        yaml.YAMLError: there are too many values or levels, a number is too long, or an alias contains itself.
    """
    if len(text) > MAX_CHARACTERS:
        raise yaml.YAMLError(f"over {MAX_CHARACTERS:,} characters")
    sizes: dict[str, int] = {}  # number of values under each anchor
    open_collections: list[tuple[str | None, int]] = [(None, 0)]  # anchor, and number of values so far
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        anchor, size = getattr(event, "anchor", None), 1
        if isinstance(event, yaml.CollectionStartEvent):
            open_collections.append((anchor, 0))
            if len(open_collections) > MAX_DEPTH:
                raise yaml.YAMLError(f"nested over {MAX_DEPTH} deep")
            continue
        if isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                raise yaml.YAMLError(f"*{anchor} contains itself, or has no anchor")
            size = sizes[anchor]
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, count = open_collections.pop()
            size = count + 1
        elif not isinstance(event, yaml.ScalarEvent):
            continue
        elif event.implicit[0] and len(event.value) > MAX_NUMBER and _BASE_60.fullmatch(event.value):
            raise yaml.YAMLError(f"a number with more than {MAX_NUMBER:,} characters")
        if anchor and not isinstance(event, yaml.AliasEvent):
            sizes[anchor] = size
        parent, count = open_collections.pop()
        open_collections.append((parent, count + size))
        if count + size > MAX_VALUES:
            raise yaml.YAMLError(f"more than {MAX_VALUES:,} values once its aliases are expanded")
