from typing import ClassVar

import pytest
import torch

from interestlab.testing import DynamicsTests
from interestlab_dynamics.ewma import EWMA
from interestlab_dynamics.momentum import Momentum


class TestEWMA(DynamicsTests):
    plugin = EWMA


class TestEWMAWithoutTime(DynamicsTests):
    plugin = EWMA
    init_args: ClassVar = {"time_constant": None, "beta": 0.9}


@pytest.fixture
def histories():
    torch.manual_seed(0)
    dt = torch.rand(3, 20) * 100
    dt[:, 0] = 0
    return torch.randn(3, 20, 4), dt, torch.ones(3, 20, dtype=torch.bool)


def test_values_computed_by_hand():
    x = torch.tensor([1.0, 2.0, 0.0]).reshape(1, 3, 1)
    z = EWMA(1, beta=0.25, time_constant=None)(x, torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(z.flatten(), torch.tensor([1.0, 1.25, 0.9375]))


def test_forward_equals_the_formula(histories):
    x, dt, mask = histories
    z, expected = x[:, 0], [x[:, 0]]
    for t in range(1, 20):
        w = torch.exp(-dt[:, t, None] / 50)
        beta = w * 0.3 + (1 - w)
        z = (1 - beta) * z + beta * x[:, t]
        expected.append(z)
    torch.testing.assert_close(EWMA(4, beta=0.3, time_constant=50.0)(x, dt, mask), torch.stack(expected, 1))


def test_equals_momentum_with_alpha_zero(histories):
    ewma = EWMA(4, beta=0.3)(*histories)
    torch.testing.assert_close(Momentum(4, alpha=0.0, beta=0.3)(*histories), ewma)
    small, large = ((Momentum(4, alpha=a, beta=0.3)(*histories) - ewma).abs().max() for a in (1e-3, 1e-1))
    assert small < large / 50


def test_interest_stays_within_the_range_of_the_events(histories):
    x, dt, mask = histories
    z = EWMA(4)(x, dt, mask)
    assert (z <= x.cummax(1).values + 1e-6).all()
    assert (z >= x.cummin(1).values - 1e-6).all()


@pytest.mark.parametrize("beta", [-0.1, 0.0, 1.0, 2.0])
def test_beta_out_of_range(beta):
    with pytest.raises(ValueError, match="beta is"):
        EWMA(4, beta=beta)
