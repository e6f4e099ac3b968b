"""Read YAML files of a sweep, and check the type of a value under a key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from interestlab.config.safe_yaml import config_text
from interestlab.errors import DataError


def load(file: Path) -> dict[str, Any]:
    """Read a YAML file that contains a mapping.

    Args:
        file: the file.

    Raises:
        DataError: the file cannot be read, is not a mapping, or has a key twice, of which YAML would silently drop one.
    """
    try:
        text = file.read_text("utf-8")
        content = config_text(text)
        refuse_duplicates(yaml.compose(text, Loader=yaml.SafeLoader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, DataError) as err:
        raise DataError(f"{file} cannot be read: {' '.join(str(err).split())}") from err
    if not isinstance(content, dict):
        raise DataError(f"{file} must be a mapping.")
    return content


def refuse_duplicates(node: yaml.Node | None) -> None:
    """Refuse a mapping with the same key twice, at any depth.

    Args:
        node: of the file.

    Raises:
        DataError: naming the line and the key.
    """
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise DataError(f"line {key.start_mark.line + 1}: '{key.value}' appears twice.")
            seen.add(key.value)
            refuse_duplicates(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            refuse_duplicates(value)


def mapping(content: Mapping[str, Any], key: str) -> dict[Any, Any]:
    """Return the mapping under a key, empty where the key is absent.

    Args:
        content: of the file.
        key: the key.

    Raises:
        DataError: the value is something else.
    """
    value = content.get(key)
    if not isinstance(value, dict | None):
        raise DataError(f"{key}: it must be a mapping, not {value!r}.")
    return value or {}


def mappings(content: Mapping[str, Any], key: str) -> list[dict[Any, Any]]:
    """Return the list of mappings under a key, empty where the key is absent.

    Args:
        content: of the file.
        key: the key.

    Raises:
        DataError: the value is something else.
    """
    value = content.get(key) or []
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise DataError(f"{key}: it must be a list of mappings, not {value!r}.")
    return value


def strings(content: Mapping[str, Any], key: str) -> list[str]:
    """Return the list of names under a key, empty where the key is absent.

    Args:
        content: of the file.
        key: the key.

    Raises:
        DataError: the value is something else.
    """
    value = content.get(key) or []
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value) or len(set(value)) < len(value):
        raise DataError(f"{key}: it must be a list of different names, not {value!r}.")
    return value
