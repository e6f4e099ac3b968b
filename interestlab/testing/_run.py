"""Run the checks, with or without pytest."""

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
    """The result of one check.

    Stability: provisional.

    Attributes:
        check: name of the check.
        promise: the promise of the contract that it tests.
        status: ``passed``, ``failed``, or ``expected`` for a failure that was declared with a reason.
        message: why it failed, or the declared reason.
        error: the exception, if any.
    """

    check: str
    promise: str
    status: Literal["passed", "failed", "expected"]
    message: str = ""
    error: Exception | None = None


def subject(plugin: type[Plugin], init_args: Mapping[str, Any] | None = None, **options: Any) -> Checks[Any]:
    """Return the checks of a plugin's kind, with ``plugin`` as the class under test.

    Stability: provisional.

    Args:
        plugin: the class.
        init_args: arguments of its constructor.
        options: options of the kind's checks, such as an encoder's ``values``.

    Raises:
        TypeError: the class is not a plugin of one of the five kinds.
    """
    for checks in KINDS:
        if issubclass(plugin, checks.kind):
            return checks(plugin, init_args, **options)
    raise TypeError(
        f"{plugin.__name__} is not an Encoder, FusionHead, Dynamics, Objective or Source, so there are no checks for it"
    )


def checks_for(kind: type[Plugin]) -> dict[str, Callable[[Any], None]]:
    """Return the checks of a kind (or of a plugin's kind) by name; each is a function of a :func:`subject`.

    Stability: provisional.

    Args:
        kind: one of the five kinds, or a plugin class.
    """
    found_checks = {}
    for checks in (checks for checks in KINDS if issubclass(kind, checks.kind)):
        for cls in reversed(checks.__mro__):
            for name in vars(cls):
                if name.startswith("check_"):
                    found_checks[name.removeprefix("check_")] = getattr(checks, name)
    return found_checks


def run_check(on: Checks[Any], name: str, reason: str | None = None) -> Outcome:
    """Run one check with a fixed seed, and restore the random state afterwards.

    Args:
        on: the plugin under test.
        name: name of the check.
        reason: why it is expected to fail; None if it is expected to pass.
    """
    check = checks_for(on.kind).get(name)
    if check is None:
        return Outcome(name, "", "failed", f"{on.kind.__name__} has no check named {name!r}")
    promise = inspect.cleandoc(check.__doc__ or "").splitlines()[0]
    if reason is not None and not (isinstance(reason, str) and reason.strip()):
        return Outcome(name, promise, "failed", "it is declared as an expected failure without a reason; add one")
    try:
        with torch.random.fork_rng(devices=[]), one_thread():
            # torch.manual_seed would also seed the GPUs, whose state is not restored.
            torch.default_generator.manual_seed(0)
            check(on)
    except Exception as err:
        message = str(err) if isinstance(err, ContractError) else f"{type(err).__name__}: {err}"
        return Outcome(name, promise, "failed" if reason is None else "expected", reason or message, err)
    if reason is not None:
        return Outcome(
            name, promise, "failed", f"it was expected to fail ({reason}) but passes; remove it from expected_failures"
        )
    return Outcome(name, promise, "passed")


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread, which is faster for tensors this small."""
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
        init_args: arguments of its constructor; ``dim`` is set automatically for kinds that have it.
        expected_failures: checks that are expected to fail, with reasons.
        options: options of the kind's checks, such as an encoder's ``values``.

    Raises:
        TypeError: the class is not a plugin of one of the five kinds.
    """
    on, expected = subject(plugin, init_args, **options), expected_failures or {}
    return [run_check(on, name, expected.get(name)) for name in check_names(plugin, expected)]


def check_names(kind: type[Plugin], expected_failures: Mapping[str, str]) -> list[str]:
    """Return the names of all checks of a kind, and of all expected failures, so that a mistyped name is reported."""
    return list(dict.fromkeys([*checks_for(kind), *expected_failures]))
