"""The checks of every kind of plugin. A check is a method ``check_NAME`` whose docstring is the promise that it tests."""

import importlib
import inspect
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from interestlab.contract import Plugin

P = TypeVar("P", bound=Plugin)

DIM = 16


class ContractError(AssertionError):
    """A promise of the contract that a plugin breaks.

    Stability: stable.
    """


def require(condition: bool, message: str) -> None:
    """Raise an error unless a condition holds, also under ``python -O``.

    Args:
        condition: what the contract requires.
        message: what was observed, and what to do.

    Raises:
        ContractError: the condition is false.
    """
    if not condition:
        raise ContractError(message)


def require_equal(actual: Tensor, expected: Tensor, message: str, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Raise an error unless two tensors are equal up to float32 rounding.

    Args:
        actual: observed values.
        expected: values that the contract requires.
        message: start of the error message.
        rtol: relative tolerance.
        atol: absolute tolerance.

    Raises:
        ContractError: they differ.
    """
    try:
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol, check_dtype=False)
    except AssertionError as err:
        raise ContractError(f"{message}: {err}") from None


class Checks(Generic[P]):
    """A plugin under test: how to build it, and its checks.

    Stability: provisional.

    Args:
        plugin: the class.
        init_args: arguments of its constructor.
    """

    kind: ClassVar[type[Plugin]]

    def __init__(self, plugin: type[P], init_args: Mapping[str, Any] | None = None) -> None:
        self.plugin = plugin
        self.init_args = dict(init_args or {})

    def construct(self) -> P:
        """Construct the plugin, without its ``build``."""
        return self.plugin(**self.init_args)

    def build(self, plugin: P) -> P:
        """Return ``plugin`` after calling its ``build`` method, if its kind has one."""
        return plugin

    def fresh(self) -> P:
        """Return a new plugin, ready for use."""
        return self.build(self.construct())

    def check_subclass(self) -> None:
        """The class is a subclass of its kind and can be constructed."""
        require(issubclass(self.plugin, self.kind), f"{self.plugin.__name__} is not a subclass of {self.kind.__name__}")
        self.construct()

    def check_arguments(self) -> None:
        """Every constructor argument has a type annotation and a line under ``Args:`` for the command-line help."""
        ours = self.plugin.__mro__[: self.plugin.__mro__.index(self.kind)]
        docs = "\n".join(inspect.cleandoc(cls.__doc__) for cls in ours if cls.__doc__)
        for parameter in list(inspect.signature(self.plugin.__init__).parameters.values())[1:]:
            name = parameter.name
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            require(parameter.annotation is not parameter.empty, f"argument {name} has no type annotation; add one")
            documented = "Args:" in docs and re.search(rf"^\s+{name}( \(.*\))?:", docs, re.MULTILINE)
            require(bool(documented), f"argument {name} has no line under Args: in the class docstring; add one")

    def check_spec(self) -> None:
        """The spec is JSON and rebuilds an equal plugin."""
        plugin = self.fresh()
        try:
            spec = json.loads(json.dumps(plugin.spec))
        except (TypeError, ValueError) as err:
            raise ContractError(f"a constructor argument is not a plain value (number, string, list, mapping): {err}") from err
        require(
            spec == plugin.spec,
            f"the spec changes when saved as JSON: {spec}, not {plugin.spec}; use plain values as arguments",
        )
        again = self.build(rebuild(spec))
        require(type(again) is type(plugin), f"{spec['class_path']} is a different class")
        require(again.spec == plugin.spec, f"the rebuilt plugin has a different spec: {again.spec}")
        require(tensor_layout(again) == tensor_layout(plugin), "the rebuilt plugin has different parameters or shapes")


def state_tensors(plugin: Plugin) -> dict[str, Tensor]:
    """Return the tensors in the state dict, without other entries (``get_extra_state``); empty if there is no state dict."""
    state = plugin.state_dict() if isinstance(plugin, nn.Module) else {}
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def tensor_layout(plugin: Plugin) -> dict[str, tuple[Any, ...]]:
    """Return shape and dtype of each weight and buffer by name."""
    return {name: (tuple(value.shape), value.dtype) for name, value in state_tensors(plugin).items()}


def rebuild(value: Any) -> Any:
    """Build the plugin of a spec, including specs among its arguments."""
    if isinstance(value, list):
        return [rebuild(v) for v in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"class_path", "init_args"}:
        return {k: rebuild(v) for k, v in value.items()}
    module, _, name = value["class_path"].rpartition(".")
    try:
        cls = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as err:
        raise ContractError(f"the class cannot be imported from {value['class_path']}: {err}") from err
    return cls(**rebuild(value["init_args"]))
