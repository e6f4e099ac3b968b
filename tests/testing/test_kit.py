"""How the checks are run, and how failures are declared."""

import subprocess
import sys
from typing import ClassVar

import pytest
import torch
from torch import nn

from interestlab.contract import FusionHead, Plugin
from interestlab.testing import ContractError, FusionHeadTests, check_plugin, checks_for, subject


class Head(FusionHead):
    """Reads what is absent, so that one check fails.

    Args:
        dim: width.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.dim = dim
        self.layer = nn.Linear(dim, dim)

    def build(self, streams):
        pass

    def forward(self, streams, present):
        return self.layer(torch.stack(list(streams.values())).sum(0))


class TestDeclared(FusionHeadTests):
    plugin = Head
    expected_failures: ClassVar = {"absent": "reads what is absent, on purpose"}


def status(**expected_failures):
    return {outcome.check: outcome for outcome in check_plugin(Head, expected_failures=expected_failures)}


def test_an_undeclared_failure_is_broken():
    outcomes = status()
    assert [name for name, outcome in outcomes.items() if outcome.status == "broken"] == ["absent"]
    assert "at an absent place reaches the output" in outcomes["absent"].message
    assert outcomes["absent"].promise == "What stands where a value is missing does not matter, be it NaN."


def test_a_declared_failure_is_expected():
    outcomes = status(absent="on purpose")
    assert outcomes["absent"].status == "expected"
    assert outcomes["absent"].message == "on purpose"
    assert {outcome.status for outcome in outcomes.values()} == {"kept", "expected"}


@pytest.mark.parametrize("reason", ["", "  ", True])
def test_a_reason_is_due(reason):
    assert status(absent=reason)["absent"].status == "broken"
    assert "without a reason" in status(absent=reason)["absent"].message


def test_a_declared_failure_that_passes_is_broken():
    outcome = status(order="on purpose")["order"]
    assert (outcome.status, outcome.message) == (
        "broken",
        "it was expected to fail (on purpose) but passes: declare it no longer",
    )


def test_a_declared_name_that_is_no_check_is_broken():
    outcome = status(abscent="on purpose")["abscent"]
    assert (outcome.status, outcome.message) == ("broken", "no check of FusionHead is called 'abscent'")


def test_as_pytest_sees_it():
    class Undeclared(FusionHeadTests):
        plugin = Head

    with pytest.raises(ContractError, match="does not matter, be it NaN"):
        Undeclared().test_contract("absent")
    with pytest.raises(pytest.xfail.Exception, match="on purpose"):
        TestDeclared().test_contract("absent")
    Undeclared().test_contract("order")


def test_pytest_gets_a_test_for_each_check():
    class Metafunc:
        fixturenames = ("check",)

        def parametrize(self, name, values):
            self.values = values

    metafunc = Metafunc()
    TestDeclared().pytest_generate_tests(metafunc)
    assert metafunc.values == list(checks_for(FusionHead))


def test_every_check_says_what_it_promises():
    for outcome in check_plugin(Head):
        assert outcome.promise.endswith("."), outcome.check


def test_the_random_state_is_left_alone(monkeypatch):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    monkeypatch.setattr(torch, "manual_seed", None)  # it would reach the GPUs, whose state is not given back
    assert [outcome.check for outcome in check_plugin(Head) if outcome.status == "broken"] == ["absent"]
    torch.testing.assert_close(torch.rand(3), expected)


def test_other_kinds_have_no_checks():
    with pytest.raises(TypeError, match="there are no checks for it"):
        subject(Plugin)


def test_the_checks_run_without_pytest():
    code = "import sys, interestlab.testing as t; assert 'pytest' not in sys.modules and t.checks_for"
    subprocess.run([sys.executable, "-c", code], check=True)
