"""Turn plugin names on a command line into class paths, before jsonargparse reads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from interestlab.config import safe_yaml
from interestlab.config.arguments import CONFIG, Argument, in_order, join, split
from interestlab.config.plugin_names import Hint, class_of, hint_below, is_mapping, registry_of, resolve


class Resolver:
    """Resolve the plugin names of one command line: in its options, and in the configs that it names.

    Args:
        hints: type hint of each option of the parser.
    """

    def __init__(self, hints: Mapping[str, Hint]) -> None:
        self.hints = hints
        self.so_far: dict[str, Any] = {}
        self._texts: dict[str, str] = {}

    def command_line(self, args: list[str]) -> list[str]:
        """Return a command line in which every plugin name is a class path, sorted as :func:`in_order` does.

        Args:
            args: the command line.

        Raises:
            PluginError: a name is unknown, or its plugin does not import.
            DataError: a config file that an option names cannot be read.
        """
        self.so_far, self._texts = {}, {}
        resolved = []
        for argument in split(in_order(args)):
            if argument.option in CONFIG:
                for value in argument.values[:1]:
                    self._read_config(value)
            resolved += self._option(argument)
        return join(resolved)

    def config(self, text: str, keys: tuple[str, ...] | None = None) -> str:
        """Return the text of a config in which every plugin name is a class path.

        Args:
            text: the config.
            keys: top keys to keep; None: all.
        """
        resolved = self._texts[text] if text in self._texts else self._resolve_config(text, Path())
        if keys is None:
            return resolved
        try:
            content = safe_yaml.config_text(resolved)
        except yaml.YAMLError:
            return text  # jsonargparse reports it
        return write({k: v for k, v in content.items() if k in keys and v is not None}) if isinstance(content, dict) else text

    def _read_config(self, value: str) -> None:
        file = Path(value)
        if not safe_yaml.is_file(file):
            self._texts[value] = self._resolve_config(value, Path())
            return
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            return  # jsonargparse reports it
        self._texts[text] = self._resolve_config(text, file.parent)

    def _resolve_config(self, text: str, folder: Path) -> str:
        try:
            content = safe_yaml.config_text(text)
        except yaml.YAMLError:
            return text  # jsonargparse reports it
        if not isinstance(content, dict):
            return text
        resolved = {k: resolve(v, self.hints.get(k), self.so_far.get(k), folder) for k, v in content.items()}
        self.so_far = _merge(self.so_far, resolved)
        return text if resolved == content else write(resolved)

    def _option(self, argument: Argument) -> list[Argument]:
        """Return an option with its plugin names resolved, after one that removes the value that it replaces."""
        path = argument.option.removeprefix("--").split(".")
        if path[0] not in self.hints or not argument.values:
            return [argument]
        hint, previous = self.hints[path[0]], self.so_far.get(path[0])
        for key in path[1:]:
            hint = hint_below(hint, key, previous)
            previous = _below(previous, key)
        given = _parsed(argument.values[0])
        is_name = path[-1] in ("class_path", "help")
        replaces = bool(registry_of(hint)) and is_mapping(hint) and not is_name
        if replaces:
            previous = None
        value = resolve({"class_path": given}, hint)["class_path"] if is_name else resolve(given, hint, previous)
        self._remember(path, value)
        resolved = [argument]
        if value != given:
            resolved = [Argument(argument.option, (value if isinstance(value, str) else write(value),), joined=True)]
            resolved += [Argument("", argument.values[1:])] if argument.values[1:] else []
        if replaces:
            # jsonargparse would read a mapping as arguments of the one plugin that was there before.
            resolved.insert(0, Argument(argument.option, ("null",), joined=True))
        return resolved

    def _remember(self, path: list[str], value: Any) -> None:
        """Put the value of an option into what is known so far, as the options that follow may be arguments of it."""
        if path[-1] == "help":
            return
        at = self.so_far
        for key in path[:-1]:
            if not isinstance(at.get(key), dict):
                at[key] = {"class_path": at[key]} if isinstance(at.get(key), str) else {}
            at = at[key]
        at[path[-1]] = value


def _parsed(text: str) -> Any:
    """Return the list, mapping or null that an option gives; any other text as it is."""
    if text[:1] not in ("{", "[") and text not in ("null", "~"):
        return text
    try:
        return safe_yaml.config_text(text)
    except yaml.YAMLError:
        return text  # jsonargparse reports it


def write(value: Any) -> str:
    """Return a text that YAML reads as ``value``, on one line.

    Args:
        value: any value of YAML.
    """
    try:
        text = json.dumps(value, allow_nan=False)
        if json.loads(text) == value:
            return text
    except (TypeError, ValueError):
        pass
    # Values that JSON has no form for. Quoted with their tags, so that no text is taken for a number.
    return yaml.safe_dump(value, default_style='"', default_flow_style=True, width=float("inf"), allow_unicode=True)


def _below(value: Any, key: str) -> Any:
    if not isinstance(value, dict):
        return None
    if key not in value and isinstance(value.get("init_args"), dict):
        return value["init_args"].get(key)
    return value.get(key)


def _merge(old: Any, new: Any) -> Any:
    """Return an earlier value with a later one over it; another plugin drops the arguments of the one before."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        if isinstance(old, str) and class_of(old) and isinstance(new, dict) and "class_path" not in new:
            old = {"class_path": old}
        else:
            return new
    if "class_path" in new and new["class_path"] != old.get("class_path"):
        return new
    return old | {key: _merge(old.get(key), value) for key, value in new.items()}
