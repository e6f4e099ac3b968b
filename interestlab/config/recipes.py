"""Recipes: the options of ``fit`` that suit one dynamics, as a YAML file in the package of its plugin.

The recipe of the plugin NAME is ``recipes/NAME.yaml``, in the package of the module that its entry point names.
"""

import hashlib
import importlib
import json
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import EntryPoint
from typing import Any

import yaml

from interestlab.config import safe_yaml
from interestlab.errors import DataError
from interestlab.registry import DYNAMICS, Registry, distribution

DEFAULT = "ewma"
"""Name of the recipe that ``fit`` uses if the user names no dynamics and no config describes the model."""

FOLDER = "recipes"

OPTIONS: dict[str, tuple[str, ...]] = {
    "model": (),
    "data": ("batch_events",),
    "trainer": ("max_epochs", "check_val_every_n_epoch", "gradient_clip_val", "gradient_clip_algorithm"),
    "early_stopping": (),
}
"""The groups of options that a recipe may set; of ``data`` and ``trainer`` these options only. None of them changes which
events are read or how they are ranked, so the metrics of two recipes can be compared."""

COMPLETE = ("encoder", "dynamics", "objective")
"""Options of the model that a recipe must set, so that the data is all that is missing."""


@dataclass(frozen=True)
class Recipe:
    """The recipe of a dynamics.

    Attributes:
        name: name of the plugin.
        file: the YAML file.
        provider: name and version of the distribution that contains the file.
        digest: the first digits of a hash of the file's options.
        content: options of ``fit``, nested as in a config.
    """

    name: str
    file: str
    provider: str
    digest: str
    content: dict[str, Any]

    @property
    def text(self) -> str:
        """The content as a config on one line."""
        return json.dumps(self.content)


def find(name: str) -> Recipe | None:
    """Return the recipe of a dynamics; None if it has none.

    Args:
        name: name of the plugin.

    Raises:
        PluginError: the plugin does not import.
        DataError: the recipe cannot be used; names the file and the key.
    """
    if name not in DYNAMICS:
        return None
    DYNAMICS.load(name)  # reports a plugin that does not import
    (ep,) = DYNAMICS.entry_points(name)
    package = importlib.import_module(ep.module).__package__
    file = package and resources.files(package) / FOLDER / f"{name}.yaml"
    if not file or not file.is_file():
        return None
    content = check(name, str(file), file.read_bytes())
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    return Recipe(name, str(file), distribution(ep), digest, content)


def require(name: str) -> Recipe:
    """Return the recipe that a user asks for by name.

    Args:
        name: name of the plugin.

    Raises:
        PluginError: the plugin does not import.
        DataError: the dynamics has no recipe, or one that cannot be used.
    """
    recipe = find(name)
    if recipe is None:
        raise DataError(f"recipe: the dynamics '{name}' has none, or is not installed; give another name, none or auto.")
    return recipe


def check(name: str, file: str, data: bytes) -> dict[str, Any]:
    """Return the content of a recipe.

    Args:
        name: name of the plugin.
        file: name of the file, for errors.
        data: content of the file.

    Raises:
        DataError: the file is not YAML, or sets or lacks an option; names the file and the key.
    """
    try:
        content = safe_yaml.config_text(data.decode())
    except (UnicodeDecodeError, yaml.YAMLError) as err:
        raise DataError(f"{file}: the recipe cannot be read: {' '.join(str(err).split())[:300]}.") from err
    if not isinstance(content, dict):
        raise DataError(f"{file}: a recipe must be a mapping of {', '.join(OPTIONS)}.")
    for group, options in content.items():
        if group not in OPTIONS:
            raise DataError(f"{file}: {group}: a recipe must not set it, only {', '.join(OPTIONS)}.")
        if not isinstance(options, dict):
            raise DataError(f"{file}: {group}: it must be a mapping of options.")
        if unknown := [key for key in options if OPTIONS[group] and key not in OPTIONS[group]]:
            raise DataError(f"{file}: {group}.{unknown[0]}: a recipe must not set it, only {', '.join(OPTIONS[group])}.")
    model = content.get("model", {})
    if missing := [key for key in COMPLETE if not model.get(key)]:
        raise DataError(f"{file}: model.{missing[0]}: a recipe must set it.")
    if plugin_name(model["dynamics"], DYNAMICS) != name:
        raise DataError(f"{file}: model.dynamics: it must be {name}, whose recipe this is.")
    return content


def plugin_name(value: Any, registry: Registry) -> str | None:
    """Return the name of the plugin that the value of a slot names; None if it names none that is installed.

    Args:
        value: a name, a class path, or a mapping with a class path.
        registry: registry of the slot's kind.
    """
    path = value.get("class_path") if isinstance(value, dict) else value
    if not isinstance(path, str):
        return None
    module, _, name = path.rpartition(".")
    if module in ("", registry.group):
        return name if name in registry else None

    def is_at_path(ep: EntryPoint) -> bool:
        return (ep.module, ep.attr) == (module, name)

    return next((name for name in registry.names() if any(map(is_at_path, registry.entry_points(name)))), None)
