"""Check the values of a sweep file."""

from collections.abc import Mapping
from typing import Any

from interestlab.errors import DataError


def check_seeds(seeds: Any) -> tuple[int, ...]:
    """Check that seeds are different whole numbers.

    Args:
        seeds: value of the key ``seeds``.

    Raises:
        DataError: they are not distinct whole numbers from 0.
    """
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise DataError(f"seeds: they must be a list of whole numbers from 0, not {seeds!r}.")
    if len(set(seeds)) < len(seeds):
        raise DataError(f"seeds: one of {seeds} appears twice.")
    return tuple(seeds)


def mapping(content: Mapping[str, Any], key: str) -> dict[Any, Any]:
    """Return the mapping under a key, empty if the key is absent.

    Args:
        content: content of the file.
        key: the key.

    Raises:
        DataError: the value is something else.
    """
    value = content.get(key)
    if not isinstance(value, dict | None):
        raise DataError(f"{key}: it must be a mapping, not {value!r}.")
    return value or {}


def mappings(content: Mapping[str, Any], key: str) -> list[dict[Any, Any]]:
    """Return the list of mappings under a key, empty if the key is absent.

    Args:
        content: content of the file.
        key: the key.

    Raises:
        DataError: the value is something else.
    """
    value = content.get(key) or []
    if not isinstance(value, list) or not all(isinstance(part, dict) for part in value):
        raise DataError(f"{key}: it must be a list of mappings, not {value!r}.")
    return value


def strings(content: Mapping[str, Any], key: str) -> list[str]:
    """Return the list of names under a key, empty if the key is absent.

    Args:
        content: content of the file.
        key: the key.

    Raises:
        DataError: the value is something else.
    """
    value = content.get(key) or []
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value) or len(set(value)) < len(value):
        raise DataError(f"{key}: it must be a list of different names, not {value!r}.")
    return value
