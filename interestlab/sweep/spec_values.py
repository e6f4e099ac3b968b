"""Check the values of a sweep file."""

import json
from collections.abc import Mapping
from typing import Any

from interestlab.errors import DataError

RESERVED = (
    "config",
    "run_dir",
    "run_name",
    "seed_everything",
    "ckpt_path",
    "test_after_fit",
    "checkpoint.dirpath",
    "checkpoint.filename",
    "print_config",
    "help",
)
"""Options of ``fit`` that the sweep itself sets, or that would keep a trial from measuring."""

Settings = dict[str, Any]
"""Options of ``interestlab fit`` without their dashes, and their values."""


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


def label(value: Any) -> str:
    """Return the label of a value of an axis.

    Args:
        value: text, which is its own label, or any other value of YAML.
    """
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def entries(axis: str, value: Any, key: str = "axes") -> dict[str, Settings]:
    """Return the settings of each label of an axis.

    Args:
        axis: its name; that of an option, where the value is a list.
        value: a list of values of that option, or a mapping of labels to settings.
        key: key of the sweep file that contains the axis, for errors.

    Raises:
        DataError: naming the label that is wrong.
    """
    where = f"{key}.{axis}"
    if not isinstance(value, list | dict):
        raise DataError(f"{where}: it must be a list of values, or a mapping of labels to settings.")
    if not value:
        raise DataError(f"{where}: it is empty.")
    pairs = [(one, {axis: one}) for one in value] if isinstance(value, list) else list(value.items())
    result: dict[str, Settings] = {}
    for name, entry in pairs:
        if label(name) in result:
            raise DataError(f"{where}: '{label(name)}' appears twice.")
        if not isinstance(entry, dict | None):
            raise DataError(f"{where}.{label(name)}: it must be a mapping of settings, not {entry!r}.")
        result[label(name)] = check_settings(entry or {}, f"{where}.{label(name)}")
    return result


def check_settings(settings: Mapping[Any, Any], where: str) -> Settings:
    """Check that settings name options of ``fit`` that the sweep does not set itself.

    Args:
        settings: options and values.
        where: key of the sweep file, for errors.

    Raises:
        DataError: naming the key that is wrong.
    """
    for key in settings:
        if not isinstance(key, str) or key.startswith("-"):
            raise DataError(f"{where}: {key!r} must be an option of `interestlab fit` without its dashes.")
        if key in RESERVED:
            raise DataError(f"{where}.{key}: the sweep itself sets --{key} for each trial.")
    return dict(settings)
