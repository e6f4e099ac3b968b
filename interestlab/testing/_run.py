"""Runs the checks, with or without pytest."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from interestlab.contract import Plugin
from interestlab.testing._checks import Checks, ContractError
from interestlab.testing._dynamics import DynamicsChecks
from interestlab.testing._encoder import EncoderChecks
from interestlab.testing._fusion import FusionHeadChecks
from interestlab.testing._objective import ObjectiveChecks
from interestlab.testing._source import SourceChecks

KINDS: tuple[type[Checks[Any]], ...] = (EncoderChecks, FusionHeadChecks, DynamicsChecks, ObjectiveChecks, SourceChecks)


@dataclass(frozen=True)
class Outcome:
    """What one check found.

    Stability: provisional.

    Attributes:
        check: its name.
        promise: the sentence of the contract that it tests.
        status: ``kept``, ``broken``, or ``expected``: broken, and declared with a reason.
        message: why it is broken, in the check's words or the declared ones.
        error: what was raised.
    """

    check: str
    promise: str
    status: Literal["kept", "broken", "expected"]
    message: str = ""
    error: Exception | None = None


def subject(plugin: type[Plugin], init_args: Mapping[str, Any] | None = None, **options: Any) -> Checks[Any]:
    """The checks of the plugin's kind, upon ``plugin``. ``options`` are those of its kind (an encoder's ``values``).

    Stability: provisional.

    Raises:
        TypeError: there are no checks for such a class.
    """
    for checks in KINDS:
        if issubclass(plugin, checks.kind):
            return checks(plugin, init_args, **options)
    raise TypeError(f"{plugin.__name__} is of none of the five kinds: there are no checks for it")


def checks_for(kind: type[Plugin]) -> dict[str, Callable[[Any], None]]:
    """The checks of a kind (or of a plugin's kind) by name, each a function of a :func:`subject`.

    Stability: provisional.
    """
    found = {}
    for checks in (checks for checks in KINDS if issubclass(kind, checks.kind)):
        for cls in reversed(checks.__mro__):
            for name in vars(cls):
                if name.startswith("check_"):
                    found[name.removeprefix("check_")] = getattr(checks, name)
    return found


def run_check(on: Checks[Any], name: str, reason: str | None = None) -> Outcome:
    """Run one check, reproducibly and without a trace in the random state.

    Args:
        on: the plugin under test.
        name: the check.
        reason: why it is expected to fail; None where it is expected to pass.
    """
    check = checks_for(on.kind).get(name)
    if check is None:
        return Outcome(name, "", "broken", f"no check of {on.kind.__name__} is called {name!r}")
    promise = inspect.cleandoc(check.__doc__ or "").splitlines()[0]
    if reason is not None and not (isinstance(reason, str) and reason.strip()):
        return Outcome(name, promise, "broken", "it is declared as an expected failure without a reason")
    try:
        with torch.random.fork_rng(devices=[]), one_thread():
            # torch.manual_seed would seed the GPUs too, whose state is not given back.
            torch.default_generator.manual_seed(0)
            check(on)
    except Exception as err:
        message = str(err) if isinstance(err, ContractError) else f"{type(err).__name__}: {err}"
        return Outcome(name, promise, "broken" if reason is None else "expected", reason or message, err)
    if reason is not None:
        return Outcome(name, promise, "broken", f"it was expected to fail ({reason}) but passes: declare it no longer")
    return Outcome(name, promise, "kept")


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for what runs inside: over tensors this small, several only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def check_plugin(
    plugin: type[Plugin],
    init_args: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    **options: Any,
) -> list[Outcome]:
    """Run every check of the plugin's kind.

    Stability: provisional.

    Args:
        plugin: the class.
        init_args: arguments that its constructor needs; ``dim`` is given where the kind has one.
        expected_failures: reason of each check that is expected to fail.
        options: what its kind's checks take beside, such as an encoder's ``values``.

    Raises:
        TypeError: there are no checks for such a class.
    """
    on, expected = subject(plugin, init_args, **options), expected_failures or {}
    return [run_check(on, name, expected.get(name)) for name in names(plugin, expected)]


def names(kind: type[Plugin], expected_failures: Mapping[str, str]) -> list[str]:
    """Every check of a kind, and whatever else is declared, so that a mistyped name is not silent."""
    return list(dict.fromkeys([*checks_for(kind), *expected_failures]))
