"""Running the checks, and declaring expected failures."""

import subprocess
import sys
from typing import ClassVar

import pytest
import torch
from torch import nn

from interestlab.contract import FusionHead, Plugin
from interestlab.testing import ContractError, FusionHeadTests, check_plugin, checks_for, subject


class Head(FusionHead):
    """Uses the values of missing streams, so that one check fails.

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
    expected_failures: ClassVar = {"missing_values": "uses missing values, on purpose"}


def outcomes_by_check(**expected_failures):
    return {outcome.check: outcome for outcome in check_plugin(Head, expected_failures=expected_failures)}


def test_an_undeclared_failure_fails():
    outcomes = outcomes_by_check()
    assert [name for name, outcome in outcomes.items() if outcome.status == "failed"] == ["missing_values"]
    assert "of a missing stream reaches the output" in outcomes["missing_values"].message
    assert outcomes["missing_values"].promise == "The values of missing streams have no effect, even if they are NaN."


def test_a_declared_failure_is_expected():
    outcomes = outcomes_by_check(missing_values="on purpose")
    assert outcomes["missing_values"].status == "expected"
    assert outcomes["missing_values"].message == "on purpose"
    assert {outcome.status for outcome in outcomes.values()} == {"passed", "expected"}


@pytest.mark.parametrize("reason", ["", "  ", True])
def test_a_reason_is_required(reason):
    assert outcomes_by_check(missing_values=reason)["missing_values"].status == "failed"
    assert "without a reason" in outcomes_by_check(missing_values=reason)["missing_values"].message


def test_an_expected_failure_that_passes_fails():
    outcome = outcomes_by_check(stream_order="on purpose")["stream_order"]
    assert (outcome.status, outcome.message) == (
        "failed",
        "it was expected to fail (on purpose) but passes; remove it from expected_failures",
    )


def test_an_unknown_check_name_fails():
    outcome = outcomes_by_check(abscent="on purpose")["abscent"]
    assert (outcome.status, outcome.message) == ("failed", "FusionHead has no check named 'abscent'")


def test_outcomes_in_pytest():
    class Undeclared(FusionHeadTests):
        plugin = Head

    with pytest.raises(ContractError, match="have no effect, even if they are NaN"):
        Undeclared().test_contract("missing_values")
    with pytest.raises(pytest.xfail.Exception, match="on purpose"):
        TestDeclared().test_contract("missing_values")
    Undeclared().test_contract("stream_order")


def test_pytest_gets_a_test_for_each_check():
    class Metafunc:
        fixturenames = ("check",)

        def parametrize(self, name, values):
            self.values = values

    metafunc = Metafunc()
    TestDeclared().pytest_generate_tests(metafunc)
    assert metafunc.values == list(checks_for(FusionHead))


def test_every_check_has_a_promise():
    for outcome in check_plugin(Head):
        assert outcome.promise.endswith("."), outcome.check


def test_the_random_state_is_restored(monkeypatch):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    monkeypatch.setattr(torch, "manual_seed", None)  # it would seed the GPUs, whose state is not restored
    assert [outcome.check for outcome in check_plugin(Head) if outcome.status == "failed"] == ["missing_values"]
    torch.testing.assert_close(torch.rand(3), expected)


def test_other_classes_have_no_checks():
    with pytest.raises(TypeError, match="there are no checks for it"):
        subject(Plugin)


@pytest.mark.slow
def test_the_checks_run_without_pytest():
    code = "import sys, interestlab.testing as t; assert 'pytest' not in sys.modules and t.checks_for"
    subprocess.run([sys.executable, "-c", code], check=True)
