"""Bare plugin names, and overrides in any order.

jsonargparse turns a name without dots into a class path in ``resolve_class_path_by_name``, a private function that is
there since 4.6 (2022), looking only at subclasses that are imported already. Ours answers first for the plugin kinds, with
the lazy path ``interestlab.<kind>.<name>``.
"""

import json
import re
from functools import wraps
from pathlib import Path

from jsonargparse import _typehints

from interestlab.config import import_policy, safe_yaml
from interestlab.registry import REGISTRIES


def install() -> None:
    """Let every jsonargparse parser take ``lora`` where an ``Encoder`` is expected, and import nothing that is not allowed."""
    import_policy.restrict()
    safe_yaml.install()
    original = _typehints.resolve_class_path_by_name
    if hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    def resolve(cls: type | tuple[type], name: str) -> str:
        for base in cls if isinstance(cls, tuple) else (cls,):
            registry = REGISTRIES.get(base.__name__) if base.__module__ == "interestlab.contract" else None
            if registry and "." not in name:
                registry.load(name)  # a PluginError of one line, before jsonargparse wraps it in its own
                return f"{registry.group}.{name}"
        return original(cls, name)

    _typehints.resolve_class_path_by_name = resolve


def ordered(args: list[str]) -> list[str]:
    """Arguments as jsonargparse needs them: configs, then ``--a.b`` before ``--a.b.c``.

    So a plugin is named before its arguments are, and what is typed wins over every config. An encoder that is named takes
    the place of whatever a config said: jsonargparse would read a mapping of encoders as arguments of the one encoder there.
    """
    groups: list[list[str]] = []
    for arg in args:
        if re.match("-[-A-Za-z]", arg) or not groups or "=" in groups[-1][0]:
            groups.append([arg])
        else:
            groups[-1].append(arg)

    def depth(group: list[str]) -> int:
        option = group[0].partition("=")[0]
        if not option.startswith("-"):
            return -2  # the command itself
        return -1 if option in ("-c", "--config") else option.count(".")

    return [
        arg
        for group in sorted(map(spelled_out, groups), key=depth)
        for arg in ([RESET, *group] if group[0].partition("=")[0] == "--model.encoder" else group)
    ]


RESET = "--model.encoder=null"

SLOTS = {
    "--model.encoder": "Encoder",
    "--model.fusion": "FusionHead",
    "--model.dynamics": "Dynamics",
    "--model.objective": "Objective",
    "--data.source": "Source",
    "--encoder": "Encoder",
}


def spelled_out(group: list[str]) -> list[str]:
    """An option that fills a slot, with what it names written out.

    A plugin's name becomes its path: a file called so in this folder is not meant. A file that holds a mapping of encoders
    becomes the mapping: jsonargparse could not override an argument inside of it.
    """
    option, equals, value = group[0].partition("=")
    registry = REGISTRIES.get(SLOTS.get(option, ""))
    if registry is None or (not equals and len(group) != 2):
        return group
    name = value if equals else group[1]
    if name in registry:
        return [f"{option}={registry.group}.{name}"]
    if name.endswith((".yaml", ".yml")) and Path(name).is_file():
        held = safe_yaml.file(Path(name))
        if isinstance(held, dict) and "class_path" not in held:
            return [f"{option}={json.dumps(held)}"]
    return group


def mistaken_files() -> str:
    """A hint where a file here bears a plugin's name: jsonargparse reads it as a config when a YAML file says the name."""
    names = {name: registry.group for registry in REGISTRIES.values() for name in registry.names()}
    files = [name for name in names if Path(name).is_file()]
    return "".join(
        f"the file '{name}' in this folder is read for that name; write {names[name]}.{name}, or move it.\n" for name in files
    )
