"""Base classes that run the checks in pytest, which is imported only when the tests run."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from interestlab.contract import Dynamics, Encoder, FusionHead, Objective, Plugin, Source
from interestlab.testing._checks import ContractError
from interestlab.testing._data import TEXTS
from interestlab.testing._run import check_names, run_check, subject


class PluginTests:
    """One test for each check of a kind.

    Attributes:
        plugin: the class under test.
        init_args: arguments of its constructor; ``dim`` is set automatically for kinds that have it.
        expected_failures: checks that are expected to fail, with reasons.
    """

    kind: ClassVar[type[Plugin]]
    plugin: ClassVar[type[Plugin]]
    init_args: ClassVar[Mapping[str, Any]] = {}
    expected_failures: ClassVar[Mapping[str, str]] = {}

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Parametrise the test with all checks."""
        if "check" in metafunc.fixturenames:
            metafunc.parametrize("check", check_names(self.kind, self.expected_failures))

    def options(self) -> dict[str, Any]:
        """Return further options of the checks of this kind."""
        return {}

    def test_contract(self, check: str) -> None:
        """Run one check."""
        import pytest

        on = subject(self.plugin, self.init_args, **self.options())
        outcome = run_check(on, check, self.expected_failures.get(check))
        if outcome.status == "failed":
            raise ContractError(f"{outcome.promise}\n{outcome.message}") from outcome.error
        if outcome.status == "expected":
            pytest.xfail(outcome.message)


class EncoderTests(PluginTests):
    """The conformance tests of an encoder.

    Stability: stable.

    Attributes:
        values: five values for ``preprocess``, one of them empty; default: plain texts.
    """

    kind = Encoder
    values: ClassVar[Sequence[str]] = TEXTS

    def options(self) -> dict[str, Any]:
        return {"values": self.values}


class FusionHeadTests(PluginTests):
    """The conformance tests of a fusion head.

    Stability: stable.
    """

    kind = FusionHead


class DynamicsTests(PluginTests):
    """The conformance tests of a dynamics.

    Stability: stable.
    """

    kind = Dynamics


class ObjectiveTests(PluginTests):
    """The conformance tests of an objective.

    Stability: stable.
    """

    kind = Objective


class SourceTests(PluginTests):
    """The conformance tests of a source. ``init_args`` name existing files, which a fixture may write.

    Stability: stable.
    """

    kind = Source
