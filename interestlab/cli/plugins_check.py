"""Check that a plugin fulfils the contract; status 1 where it does not."""

import importlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from interestlab import testing
from interestlab.config import recipes
from interestlab.config.parser import CommandParser
from interestlab.config.plugin_lookup import find, registries_with
from interestlab.contract import Dynamics, Encoder, Plugin
from interestlab.errors import DataError, PluginError
from interestlab.registry import DYNAMICS, REGISTRIES
from interestlab.testing import Outcome
from interestlab.training.fit import fit_parser
from interestlab.training.recipe_arguments import check_recipe

STYLES = {"passed": "green", "failed": "bold red", "expected": "yellow"}


def run(args: list[str]) -> None:
    """Run the conformance kit on a plugin, and print the outcome of each check.

    Args:
        args: the options.

    Raises:
        PluginError: the plugin cannot be checked.
        SystemExit: with status 1 if a check fails.
    """
    parser = CommandParser("interestlab plugins check", description="Check that a plugin fulfils the contract.")
    parser.add_argument("name", help="name of the plugin, KIND.NAME, or the import path of a class")
    parser.add_argument("--init_args", default="{}", help="constructor arguments, as a JSON object")
    parser.add_argument("--expected_failures", default="{}", help="checks that may fail, with the reason, as a JSON object")
    parser.add_argument("--values", help="five input values for an encoder, one of them empty, as a JSON list")
    options = parser.parse_args(args)
    plugin = load(options.name)
    init_args = read_mapping("--init_args", options.init_args)
    require_arguments(plugin, init_args)
    more = {} if options["values"] is None else {"values": read_texts(plugin, options["values"])}
    expected = read_mapping("--expected_failures", options.expected_failures)
    try:
        outcomes = testing.check_plugin(plugin, init_args, expected, **more)
    except TypeError as err:
        raise PluginError(f"{err}.") from err
    outcomes += check_recipe_of(options.name, plugin)
    Console().print(table(options.name, outcomes))
    count = {status: sum(outcome.status == status for outcome in outcomes) for status in STYLES}
    print(", ".join(f"{number} {status}" for status, number in count.items() if number))
    if count["failed"]:
        raise SystemExit(1)


def load(name: str) -> type[Plugin]:
    """Return the class of a plugin.

    Args:
        name: ``NAME``, ``KIND.NAME``, or the path of a class.

    Raises:
        PluginError: there is no such plugin or class, or it does not import.
    """
    module, _, short = name.rpartition(".")
    if module in ("", *(registry.kind for registry in REGISTRIES.values())) or registries_with(name):
        registry, short = find(name)
        return registry.load(short)
    try:
        cls = getattr(importlib.import_module(module), short)
    except Exception as err:
        why = " ".join(f"{type(err).__name__}: {err}".split())
        raise PluginError(f"{name} does not import: {why}") from err
    if not isinstance(cls, type):
        raise PluginError(f"{name} is not a class; name the plugin's class.")
    return cls


def check_recipe_of(name: str, plugin: type[Plugin]) -> list[Outcome]:
    """Check the recipe of a dynamics, which the conformance kit cannot do: the options of `fit` are unknown to it.

    Args:
        name: name of the plugin, KIND.NAME, or the import path of a class.
        plugin: the class.

    Returns:
        One outcome; none for a plugin without a recipe.
    """
    path = name if registries_with(name) == [] else name.rpartition(".")[2]
    short = recipes.plugin_name(path, DYNAMICS) if issubclass(plugin, Dynamics) else None
    promise = f"``{recipes.FOLDER}/{short}.yaml`` describes a complete model with this dynamics, in options of ``fit``"
    try:
        recipe = recipes.find(short) if short else None
        if recipe is None:
            return []
        check_recipe(fit_parser(), recipe)
    except DataError as err:
        return [Outcome("recipe", promise, "failed", str(err), err)]
    return [Outcome("recipe", promise, "passed")]


def read_mapping(option: str, text: str) -> dict[str, Any]:
    """Read an option that is a JSON object.

    Args:
        option: its name, for errors.
        text: its value.

    Raises:
        PluginError: the value is not a JSON object.
    """
    value = read_json(option, text, '{"name": 1}')
    if not isinstance(value, dict):
        raise PluginError(f"{option} is not a JSON object; write it like '{{\"name\": 1}}'.")
    return value


def read_texts(plugin: type[Plugin], text: str) -> list[str]:
    """Read ``--values``, the texts that an encoder is tried on.

    Args:
        plugin: the encoder.
        text: value of the option.

    Raises:
        PluginError: the value is not a JSON list of five texts, or the plugin is not an encoder.
    """
    example = '["a.jpg", "", ...]'
    value = read_json("--values", text, example)
    if not isinstance(value, list) or len(value) < 5 or not all(isinstance(item, str) for item in value):
        raise PluginError(f"--values is not a JSON list of five texts; write it like '{example}'.")
    if not issubclass(plugin, Encoder):
        raise PluginError(f"--values is for encoders, and {plugin.__name__} is not one.")
    return value


def read_json(option: str, text: str, example: str) -> Any:
    """Read an option that is JSON.

    Args:
        option: its name, for errors.
        text: its value.
        example: a value that is right, for errors.

    Raises:
        PluginError: the value is not JSON.
    """
    try:
        return json.loads(text)
    except ValueError as err:
        raise PluginError(f"{option} is not JSON ({err}); write it like '{example}'.") from err


def require_arguments(plugin: type[Plugin], init_args: Mapping[str, Any]) -> None:
    """Check that every required argument of the constructor is given; otherwise each check would fail for it.

    Args:
        plugin: class of the plugin.
        init_args: arguments that are given.

    Raises:
        PluginError: naming the missing argument.
    """
    for name, parameter in list(inspect.signature(plugin.__init__).parameters.items())[1:]:
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not variadic and name not in (*init_args, "dim"):
            raise PluginError(f"{plugin.__name__} needs {name}; give it as --init_args='{{\"{name}\": ...}}'.")


def table(name: str, outcomes: list[Outcome]) -> Table:
    """Return a table with one row per check.

    Args:
        name: title of the table.
        outcomes: outcomes of the checks.
    """
    result = Table("check", "promise", "result", "message", title=Text(name))
    for outcome in outcomes:  # as Text, since rich would read [3, 4] as a style
        status = Text(outcome.status, STYLES[outcome.status])
        result.add_row(Text(outcome.check), Text(outcome.promise.replace("``", "`")), status, Text(outcome.message))
    return result
