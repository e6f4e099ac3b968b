"""``interestlab plugins check``: the conformance kit from the command line."""

import importlib
import inspect
import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from interestlab import testing
from interestlab.config.one_line_errors import told_in_one_line
from interestlab.config.plugin_lookup import find, holders
from interestlab.contract import Encoder, Plugin
from interestlab.errors import PluginError
from interestlab.registry import REGISTRIES
from interestlab.testing import Outcome

STYLES = {"kept": "green", "broken": "bold red", "expected": "yellow"}


def check_plugin(name: str, init_args: str, expected_failures: str, values: str | None = None) -> None:
    """Print what a plugin keeps of the contract.

    Args:
        name: ``NAME``, ``KIND.NAME``, or the path of a class.
        init_args: arguments that its constructor needs, as JSON.
        expected_failures: checks that are expected to fail, and why, as JSON.
        values: what an encoder's ``preprocess`` is tried on, as JSON; None: words.

    Raises:
        SystemExit: with 1 where a promise is broken, with 2 where the plugin cannot be checked.
    """
    with told_in_one_line():
        plugin = load(name)
        given = mapping("--init_args", init_args)
        require_arguments(plugin, given)
        options = {} if values is None else {"values": texts(plugin, values)}
        try:
            outcomes = testing.check_plugin(plugin, given, mapping("--expected_failures", expected_failures), **options)
        except TypeError as err:
            raise PluginError(f"{err}.") from err
    Console().print(table(name, outcomes))
    count = {status: sum(outcome.status == status for outcome in outcomes) for status in STYLES}
    print(", ".join(f"{number} {status}" for status, number in count.items() if number))
    if count["broken"]:
        raise SystemExit(1)


def load(name: str) -> type[Plugin]:
    """The class of a plugin.

    Raises:
        PluginError: there is no such plugin or class, or it does not import.
    """
    module, _, short = name.rpartition(".")
    if module in ("", *(registry.kind for registry in REGISTRIES.values())) or holders(name):
        registry, short = find(name)
        return registry.load(short)
    try:
        cls = getattr(importlib.import_module(module), short)
    except Exception as err:
        why = " ".join(f"{type(err).__name__}: {err}".split())
        raise PluginError(f"{name} does not import: {why}") from err
    if not isinstance(cls, type):
        raise PluginError(f"{name} is no class; name the plugin's class.")
    return cls


def mapping(option: str, text: str) -> dict[str, Any]:
    """What an option holds as JSON.

    Raises:
        PluginError: it is no JSON object.
    """
    held = read(option, text, '{"name": 1}')
    if not isinstance(held, dict):
        raise PluginError(f"{option} is no JSON object; write it like '{{\"name\": 1}}'.")
    return held


def texts(plugin: type[Plugin], text: str) -> list[str]:
    """The values that an encoder is to prepare.

    Raises:
        PluginError: they are no JSON list of five texts, or the plugin is no encoder.
    """
    example = '["a.jpg", "", ...]'
    held = read("--values", text, example)
    if not isinstance(held, list) or len(held) < 5 or not all(isinstance(value, str) for value in held):
        raise PluginError(f"--values is no JSON list of five texts; write it like '{example}'.")
    if not issubclass(plugin, Encoder):
        raise PluginError(f"--values are for encoders, and {plugin.__name__} is none.")
    return held


def read(option: str, text: str, example: str) -> Any:
    """What an option holds.

    Raises:
        PluginError: it is no JSON.
    """
    try:
        return json.loads(text)
    except ValueError as err:
        raise PluginError(f"{option} is no JSON ({err}); write it like '{example}'.") from err


def require_arguments(plugin: type[Plugin], given: Mapping[str, Any]) -> None:
    """Stop where the constructor needs what is not given: every check would say so.

    Raises:
        PluginError: naming the arguments.
    """
    for name, parameter in list(inspect.signature(plugin.__init__).parameters.items())[1:]:
        variadic = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        if parameter.default is parameter.empty and not variadic and name not in (*given, "dim"):
            raise PluginError(f"{plugin.__name__} needs {name}; give it as --init_args='{{\"{name}\": ...}}'.")


def table(name: str, outcomes: list[Outcome]) -> Table:
    """A row a check. Texts are shown as they are: to rich, [3, 4] would be a style."""
    made = Table("check", "promise", "", "message", title=Text(name))
    for outcome in outcomes:
        status = Text(outcome.status, STYLES[outcome.status])
        made.add_row(Text(outcome.check), Text(outcome.promise.replace("``", "`")), status, Text(outcome.message))
    return made
