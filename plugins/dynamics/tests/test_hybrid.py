from typing import ClassVar

import pytest
import torch
from torch import nn

from interestlab.testing import DynamicsTests
from interestlab_dynamics.ewma import EWMA
from interestlab_dynamics.gru import GRU
from interestlab_dynamics.hybrid import Hybrid
from interestlab_dynamics.momentum import Momentum
from interestlab_dynamics.multi_interest import MultiInterest


class TestHybrid(DynamicsTests):
    plugin = Hybrid
    init_args: ClassVar = {"inner": "gru"}


class TestSeveralInterestsOnTopOfOne(DynamicsTests):
    plugin = Hybrid
    init_args: ClassVar = {"inner": "multi_interest", "inner_args": {"num_interests": 3}}


class TestOneInterestOnTopOfSeveral(DynamicsTests):
    plugin = Hybrid
    init_args: ClassVar = {"inner": "gru", "base": "multi_interest", "base_args": {"num_interests": 3}}


class TestSeveralInterestsOnTopOfSeveral(DynamicsTests):
    plugin = Hybrid
    init_args: ClassVar = {"inner": "multi_interest", "base": "multi_interest"}


@pytest.mark.parametrize(("base", "plugin"), [("ewma", EWMA), ("momentum", Momentum), ("multi_interest", MultiInterest)])
@pytest.mark.parametrize("inner", ["transformer", "gru", "momentum"])
def test_starts_as_its_base(base, plugin, inner):
    x, dt, mask = torch.randn(3, 7, 8), torch.rand(3, 7), torch.ones(3, 7, dtype=torch.bool)
    hybrid = Hybrid(8, inner, base=base).eval()
    torch.testing.assert_close(hybrid(x, dt, mask), plugin(8)(x, dt, mask))


def test_groups_and_penalties_of_both_are_those_of_the_hybrid():
    class Penalized(GRU):
        def penalty(self):
            return torch.tensor(2.0)

    hybrid = Hybrid(8, "transformer", {"positions": "recency"}, base="multi_interest")
    gains = {id(p) for p in hybrid.parameter_groups()["gains"]}
    slopes = [p for name, p in hybrid.named_parameters() if name.endswith("raw_slopes")]
    assert gains == {id(p) for p in slopes}
    assert len(slopes) == 3
    assert hybrid.penalty() is None
    hybrid.inner = hybrid.base = Penalized(8)
    assert hybrid.penalty() == 4.0


@pytest.mark.parametrize("argument", ["inner_args", "base_args"])
def test_an_argument_that_a_dynamics_does_not_have(argument):
    with pytest.raises(ValueError, match=rf"{argument} of gru: .*layerz"):
        Hybrid(8, "gru", base="gru", **{argument: {"layerz": 2}})


def test_dropout_is_that_of_both_unless_their_arguments_differ():
    hybrid = Hybrid(8, "gru", {"dropout": 0.1}, base="multi_interest", dropout=0.5)
    rates = {name.partition(".")[0]: m.p for name, m in hybrid.named_modules() if isinstance(m, nn.Dropout)}
    assert rates == {"base": 0.5, "inner": 0.1}


def test_different_numbers_of_interests():
    with pytest.raises(ValueError, match="multi_interest has 3 interests and multi_interest has 4; set num_interests"):
        Hybrid(8, "multi_interest", base="multi_interest", base_args={"num_interests": 3})
