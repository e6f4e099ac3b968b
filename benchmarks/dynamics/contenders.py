"""The dynamics that are measured, and their measurements."""

import argparse
import inspect
from dataclasses import dataclass, field
from typing import Any, cast

from interestlab.contract import Dynamics
from interestlab.registry import DYNAMICS

BASELINE = "transformer"
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "momentum": [{}, {"delta": "network"}],
    "multi_interest": [{}, {"extractor": "attention"}, {"extractor": "routing"}],
    "ode": [{"solver": "linear"}, {"solver": "euler"}, {"solver": "rk4"}],
    "time_transformer": [{"kind": "hstu"}, {"kind": "rotary"}, {"kind": "interval"}],
}
"""Arguments of the variants of a dynamics; a dynamics that is not listed is measured with its defaults."""


@dataclass
class Contender:
    """One dynamics with its arguments and measurements.

    Attributes:
        name: name in the registry.
        arguments: arguments of the constructor.
        passes: one measurement per length.
        steps: one measurement per length.
        stopped: why longer histories were not measured; empty if all were.
    """

    name: str
    arguments: dict[str, Any]
    passes: list[dict[str, Any]] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)
    stopped: str = ""

    @property
    def label(self) -> str:
        """Name and arguments."""
        return " ".join([self.name, *(f"{k}={v}" for k, v in self.arguments.items())])

    def build(self, options: argparse.Namespace, length: int) -> Dynamics:
        """Return the dynamics with newly drawn weights, for histories of up to ``length`` events."""
        cls = DYNAMICS.load(self.name)
        optional = {"max_length": length, "dropout": options.dropout}
        accepted = {k: v for k, v in optional.items() if v is not None and k in inspect.signature(cls).parameters}
        return cast(Dynamics, cls(dim=options.dim, **accepted, **self.arguments).to(options.device))


def list_contenders(names: list[str]) -> list[Contender]:
    """Return every variant of the named dynamics."""
    return [Contender(name, arguments) for name in names for arguments in VARIANTS.get(name, [{}])]
