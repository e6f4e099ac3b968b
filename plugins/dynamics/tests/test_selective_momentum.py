from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interestlab.testing import DynamicsTests
from interestlab_dynamics.momentum import Momentum
from interestlab_dynamics.selective_momentum import SelectiveMomentum


class TestSelectiveMomentum(DynamicsTests):
    plugin = SelectiveMomentum


class TestSelectiveMomentumWithoutTime(DynamicsTests):
    plugin = SelectiveMomentum
    init_args: ClassVar = {"time_constant": None, "heads": 1, "alpha": -0.3, "beta": 1.2}


@pytest.mark.parametrize("alpha", [0.0, 0.4])
def test_starts_as_momentum(alpha):
    x, dt, mask = torch.randn(3, 7, 8), torch.rand(3, 7) * 100, torch.ones(3, 7, dtype=torch.bool)
    selective, momentum = SelectiveMomentum(8, alpha=alpha, beta=0.4), Momentum(8, alpha=alpha, beta=0.4)
    torch.testing.assert_close(selective(x, dt, mask), momentum(x, dt, mask))


@given(scale=st.floats(0, 1e4), seed=st.integers(0, 100), days=st.floats(0, 1e4))
def test_gains_are_stable_for_all_weights(scale, seed, days):
    torch.manual_seed(seed)
    dynamics = SelectiveMomentum(8)
    torch.nn.init.normal_(dynamics.shift.weight, std=max(scale, 1e-9))
    alpha, beta = dynamics.selected_gains(torch.randn(4, 8), torch.randn(4, 8), torch.full((4,), days))
    assert (alpha.abs() < 1).all()
    assert ((beta > 0) & (beta < 2 * (1 + alpha))).all()


def test_the_gain_depends_on_the_event_and_on_the_state():
    torch.manual_seed(0)
    dynamics = SelectiveMomentum(8)
    torch.nn.init.normal_(dynamics.shift.weight)
    x, z = torch.randn(5, 8), torch.randn(5, 8)
    _, beta = dynamics.selected_gains(x, z, torch.zeros(5))
    for other in (dynamics.selected_gains(-x, z, torch.zeros(5)), dynamics.selected_gains(x, -z, torch.zeros(5))):
        assert (other[1] - beta).abs().amax() > 0.01


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="dim 8 is not divisible by heads 3"):
        SelectiveMomentum(8, heads=3)
