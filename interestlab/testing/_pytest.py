"""The checks as pytest classes to inherit from. pytest itself is imported only while it runs them."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from interestlab.contract import Dynamics, Encoder, FusionHead, Objective, Plugin, Source
from interestlab.testing._checks import ContractError
from interestlab.testing._data import TEXTS
from interestlab.testing._run import names, run_check, subject


class PluginTests:
    """Every check of a kind, as one test each.

    Attributes:
        plugin: the class under test.
        init_args: arguments that its constructor needs; ``dim`` is given where the kind has one.
        expected_failures: reason of each check that is expected to fail.
    """

    kind: ClassVar[type[Plugin]]
    plugin: ClassVar[type[Plugin]]
    init_args: ClassVar[Mapping[str, Any]] = {}
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Make a test of each check."""
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", names(self.kind, self.expected_failures))

    def options(self) -> dict[str, Any]:
        """What the checks of this kind take beside."""
        return {}

    def test_contract(self, check: str) -> None:
        """Run one check."""
        import pytest

        on = subject(self.plugin, self.init_args, **self.options())
        outcome = run_check(on, check, self.expected_failures.get(check))
        if outcome.status == "broken":
            raise ContractError(f"{outcome.promise}\n{outcome.message}") from outcome.error
        if outcome.status == "expected":
            pytest.xfail(outcome.message)


class EncoderTests(PluginTests):
    """The contract of an encoder.

    Stability: stable.

    Attributes:
        values: five values to prepare, an empty one among them, where it does not read plain words.
    """

    kind = Encoder
    values: ClassVar[Sequence[str]] = TEXTS

    def options(self) -> dict[str, Any]:
        return {"values": self.values}


class FusionHeadTests(PluginTests):
    """The contract of a fusion head.

    Stability: stable.
    """

    kind = FusionHead


class DynamicsTests(PluginTests):
    """The contract of a dynamics.

    Stability: stable.
    """

    kind = Dynamics


class ObjectiveTests(PluginTests):
    """The contract of an objective.

    Stability: stable.
    """

    kind = Objective


class SourceTests(PluginTests):
    """The contract of a source. ``init_args`` name files that are there: a fixture may write them, and set ``self.init_args``.

    Stability: stable.
    """

    kind = Source
