"""The base class of every plugin, and names of parameter groups; :mod:`interestlab.contract` re-exports both."""

import inspect
from abc import ABC
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from interestlab.registry import REGISTRIES

ParameterGroup = Literal["pretrained", "peft", "gains"]
"""Name of a group of parameters with a learning rate of its own.

Stability: provisional.
"""


class Plugin(ABC):
    """Records its constructor arguments, so that plain values can rebuild it.

    Stability: stable.
    """

    _init_args: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        bound = inspect.signature(cls.__init__).bind_partial(self, *args, **kwargs)
        init_args = dict(list(bound.arguments.items())[1:])
        init_args |= init_args.pop("kwargs", {})
        object.__setattr__(self, "_init_args", init_args)
        return self

    @property
    def spec(self) -> dict[str, Any]:
        """``{"class_path": ..., "init_args": {...}}``, as in configs and checkpoints."""
        return {"class_path": class_path(type(self)), "init_args": {k: to_plain(v) for k, v in self._init_args.items()}}


def class_path(cls: type) -> str:
    """Return the class path that a spec contains: by plugin name if the class was loaded by name, else by its module.

    Stability: internal.

    Args:
        cls: class of a plugin.
    """
    for registry in REGISTRIES.values():
        if path := registry.path(cls):
            return path
    return f"{cls.__module__}.{cls.__qualname__}"


def to_plain(value: Any) -> Any:
    """Convert a constructor argument to plain values, and plugins in it to their specs.

    Stability: internal.

    Args:
        value: the argument.
    """
    if isinstance(value, Plugin):
        return value.spec
    if isinstance(value, Mapping):
        return {str(k): to_plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value
