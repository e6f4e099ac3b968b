"""Turn plugin names in configs into class paths: ``lora`` where an encoder is expected is ``interestlab.encoders.lora``.

Type hints determine where a plugin is expected: those of the classes that a parser takes arguments of, of the dataclasses below
them, and of the constructors of the plugins that a config names.
"""

import builtins
import dataclasses
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

from interestlab.config import import_policy, safe_yaml
from interestlab.registry import REGISTRIES, Registry

Hint = Any
"""A type hint; None if none is known."""

CONTRACT = "interestlab.contract"


@dataclasses.dataclass(frozen=True)
class Group:
    """The constructor arguments of a class, written as a mapping without a class path."""

    cls: type


def resolve(value: Any, hint: Hint, previous: Any = None, folder: Path | None = None) -> Any:
    """Write out every plugin name in a value of a config.

    Args:
        value: the value, as parsed from YAML.
        hint: type that is expected here.
        previous: what earlier configs and options gave here, already resolved; the value may override parts of it.
        folder: folder that the names of further config files are relative to; default the working directory.

    Returns:
        The value with class paths for names, and with each config file name replaced by the content of the file.

    Raises:
        PluginError: a name is unknown, or its plugin does not import.
        DataError: a config file cannot be read.
    """
    registry = registry_of(hint)
    if isinstance(value, str):
        return _resolve_text(value, hint, registry, previous, folder or Path())
    if isinstance(value, list):
        item = _item_hint(hint, Sequence)
        return value if item is None else [resolve(one, item, None, folder) for one in value]
    if not isinstance(value, dict):
        return value
    if registry and "class_path" in value:
        return _resolve_spec(value, registry, folder)
    if registry and (cls := class_of(previous)):  # overrides arguments of the plugin that was named before
        return _resolve_arguments(value, cls, previous, folder)
    item = _item_hint(hint, Mapping)
    if item is not None:
        before = previous if isinstance(previous, dict) else {}
        keep = ("init_args", "dict_kwargs") if registry else ()
        return {k: v if k in keep else resolve(v, item, before.get(k), folder) for k, v in value.items()}
    hints = group_hints(hint)
    before = previous if isinstance(previous, dict) else {}
    return {key: resolve(one, hints.get(key), before.get(key), folder) for key, one in value.items()}


def resolve_name(name: str, registry: Registry) -> str:
    """Return the class path of a plugin; a name with dots is one already.

    Args:
        name: name of the plugin.
        registry: registry of its kind.

    Raises:
        PluginError: the name is unknown, or its plugin does not import.
    """
    if "." in name:
        return name
    registry.load(name)  # jsonargparse would wrap its error in several lines
    return f"{registry.group}.{name}"


def registry_of(hint: Hint) -> Registry | None:
    """Return the registry of the plugins that a type hint admits, or None.

    Args:
        hint: the type hint.
    """
    for member in members(hint):
        for base in getattr(member, "__mro__", ()):
            if base.__module__ == CONTRACT and base.__name__ in REGISTRIES:
                return REGISTRIES[base.__name__]
    return None


def is_mapping(hint: Hint) -> bool:
    """Return whether a type hint admits a mapping of named values, such as several encoders.

    Args:
        hint: the type hint.
    """
    return _item_hint(hint, Mapping) is not None


def hint_below(hint: Hint, key: str, previous: Any) -> Hint:
    """Return the type hint of ``--slot.key``, where the slot has a type hint and so far a value.

    Args:
        hint: type hint of the slot.
        key: name of an argument of the plugin in the slot, or of an entry.
        previous: resolved value of the slot so far.
    """
    if registry_of(hint):
        if key in ("class_path", "help"):
            return hint
        if cls := class_of(previous):
            return Group(cls) if key == "init_args" else constructor_hints(cls).get(key)
    item = _item_hint(hint, Mapping)
    return item if item is not None else group_hints(hint).get(key)


def group_hints(hint: Hint) -> dict[str, Hint]:
    """Return the type hints of the entries of a mapping that describes a class or dataclass.

    Args:
        hint: type hint of the mapping.
    """
    for member in members(hint):
        if isinstance(member, Group):
            return constructor_hints(member.cls)
        if isinstance(member, type) and dataclasses.is_dataclass(member):
            return constructor_hints(member)
    return {}


def constructor_hints(cls: type) -> dict[str, Hint]:
    """Return the type hints of the constructor arguments of a class, with those that it may pass on to its bases.

    Args:
        cls: the class.
    """
    hints: dict[str, Hint] = {}
    for base in reversed(cls.__mro__):
        init = vars(base).get("__init__")
        if not inspect.isfunction(init):
            continue
        # A dataclass has no globals of its own module in its generated constructor.
        scope = init.__globals__ | vars(sys.modules.get(base.__module__, builtins))
        for name, hint in init.__annotations__.items():
            if isinstance(hint, str):
                try:
                    hint = eval(hint, scope)  # the plugin's own source; names under TYPE_CHECKING are absent
                except Exception:
                    continue
            hints[name] = hint
    return hints


def class_of(value: Any) -> type | None:
    """Return the plugin class that a resolved value names, or None. Imports nothing that a config may not name.

    Args:
        value: a class path, or a mapping with one.
    """
    path = value.get("class_path") if isinstance(value, dict) else value
    if not isinstance(path, str) or "." not in path:
        return None
    module, _, name = path.rpartition(".")
    for registry in REGISTRIES.values():
        if module == registry.group and name in registry:
            return registry.load(name)
    if not import_policy.is_allowed(path):
        return None  # jsonargparse refuses it with its reason
    try:
        cls = getattr(importlib.import_module(module), name)
    except Exception:
        return None  # likewise
    return cls if isinstance(cls, type) and registry_of(cls) else None


def members(hint: Hint) -> Iterator[Hint]:
    """Iterate over the members of a union, or over the one type hint.

    Args:
        hint: the type hint.
    """
    origin: Any = typing.get_origin(hint)
    if origin is typing.Annotated:
        yield from members(typing.get_args(hint)[0])
    elif origin in (Union, types.UnionType):
        for member in typing.get_args(hint):
            yield from members(member)
    else:
        yield hint


def _resolve_text(text: str, hint: Hint, registry: Registry | None, previous: Any, folder: Path) -> Any:
    if registry and text in registry:
        return resolve_name(text, registry)
    grouped = registry or is_mapping(hint) or any(isinstance(m, Group) or dataclasses.is_dataclass(m) for m in members(hint))
    file = folder / text
    if grouped and safe_yaml.is_file(file):
        content = safe_yaml.config_file(file)
        if isinstance(content, dict):
            return resolve(content, hint, previous, file.parent)
    elif registry:
        return resolve_name(text, registry)
    return text


def _resolve_spec(value: dict[str, Any], registry: Registry, folder: Path | None) -> dict[str, Any]:
    path = value["class_path"]
    resolved = value | {"class_path": resolve_name(path, registry) if isinstance(path, str) else path}
    cls = class_of(resolved) if isinstance(value.get("init_args"), dict) else None
    return _resolve_arguments(resolved, cls, None, folder) if cls else resolved


def _resolve_arguments(value: dict[str, Any], cls: type, previous: Any, folder: Path | None) -> dict[str, Any]:
    """Resolve arguments of a plugin, which are under ``init_args``, or directly in the mapping."""
    hints = constructor_hints(cls)
    before = previous.get("init_args", {}) if isinstance(previous, dict) else {}

    def arguments(given: dict[str, Any]) -> dict[str, Any]:
        return {key: resolve(one, hints.get(key), before.get(key), folder) for key, one in given.items()}

    if "class_path" in value or "init_args" in value:
        given = value.get("init_args")
        return value | {"init_args": arguments(given)} if isinstance(given, dict) else value
    return arguments(value)


def _item_hint(hint: Hint, collection: type) -> Hint:
    """Return the type hint of the items of a list, or of the values of a mapping; None if no plugin is allowed there."""
    for member in members(hint):
        origin, args = typing.get_origin(member), typing.get_args(member)
        if args and isinstance(origin, type) and issubclass(origin, collection):
            return args[-1] if collection is Mapping else args[0]
    return None
