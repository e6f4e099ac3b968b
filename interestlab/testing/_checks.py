"""What is checked of every plugin, of whatever kind. A check is a method ``check_NAME`` whose docstring is the promise."""

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
    """A promise of the contract that a plugin does not keep.

    Stability: stable.
    """


def require(condition: bool, message: str) -> None:
    """``assert``, but also under ``python -O``."""
    if not condition:
        raise ContractError(message)


def same(actual: Tensor, expected: Tensor, message: str, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Both tensors are equal within float32 rounding, or :class:`ContractError`."""
    try:
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol, check_dtype=False)
    except AssertionError as err:
        raise ContractError(f"{message}: {err}") from None


class Checks(Generic[P]):
    """A plugin under test: how to build it, and what is checked of it.

    Stability: provisional.

    Args:
        plugin: the class.
        init_args: arguments that its constructor needs.
    """

    kind: ClassVar[type[Plugin]]

    def __init__(self, plugin: type[P], init_args: Mapping[str, Any] | None = None) -> None:
        self.plugin = plugin
        self.init_args = dict(init_args or {})

    def construct(self) -> P:
        """Construct the plugin, without its ``build``."""
        return self.plugin(**self.init_args)

    def built(self, plugin: P) -> P:
        """``plugin`` after its ``build``, where its kind has one."""
        return plugin

    def fresh(self) -> P:
        """A plugin as it is first used."""
        return self.built(self.construct())

    def check_kind(self) -> None:
        """It is a subclass of its kind, and can be constructed."""
        require(issubclass(self.plugin, self.kind), f"{self.plugin.__name__} is no {self.kind.__name__}")
        self.construct()

    def check_arguments(self) -> None:
        """Every argument of the constructor has a type and, for the command line's help, a line under ``Args:``."""
        ours = self.plugin.__mro__[: self.plugin.__mro__.index(self.kind)]
        docs = "\n".join(inspect.cleandoc(cls.__doc__) for cls in ours if cls.__doc__)
        for parameter in list(inspect.signature(self.plugin.__init__).parameters.values())[1:]:
            name = parameter.name
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            require(parameter.annotation is not parameter.empty, f"argument {name} has no type")
            documented = "Args:" in docs and re.search(rf"^\s+{name}( \(.*\))?:", docs, re.MULTILINE)
            require(bool(documented), f"argument {name} has no line under Args: in the class docstring")

    def check_spec(self) -> None:
        """Its spec is JSON and rebuilds an equal plugin."""
        plugin = self.fresh()
        try:
            spec = json.loads(json.dumps(plugin.spec))
        except (TypeError, ValueError) as err:
            raise ContractError(f"the constructor was given what is no plain value: {err}") from err
        require(spec == plugin.spec, f"the spec is read back otherwise: {spec}, not {plugin.spec}")
        again = self.built(rebuild(spec))
        require(type(again) is type(plugin), f"{spec['class_path']} is another class")
        require(again.spec == plugin.spec, f"the rebuilt plugin has another spec: {again.spec}")
        require(layout(again) == layout(plugin), "the rebuilt plugin has other parameters or shapes")


def weights(plugin: Plugin) -> dict[str, Tensor]:
    """The tensors of its state dict, which may hold more (``get_extra_state``); none of a plugin that has no state dict."""
    state = plugin.state_dict() if isinstance(plugin, nn.Module) else {}
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def layout(plugin: Plugin) -> dict[str, tuple[Any, ...]]:
    """Name, shape and type of its weights and buffers."""
    return {name: (tuple(value.shape), value.dtype) for name, value in weights(plugin).items()}


def rebuild(value: Any) -> Any:
    """What a spec stands for, specs among its arguments too."""
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
        raise ContractError(f"the class cannot be imported as {value['class_path']}: {err}") from err
    return cls(**rebuild(value["init_args"]))
