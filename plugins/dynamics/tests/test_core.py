import pytest
import torch

from interestlab.testing import DynamicsTests
from interestlab_dynamics.core import Core


class TestCore(DynamicsTests):
    plugin = Core


def test_starts_as_a_normalised_exponentially_weighted_average():
    x = torch.randn(2, 6, 8)
    z = Core(8, beta=0.4).eval()(x, torch.zeros(2, 6), torch.ones(2, 6, dtype=torch.bool))
    weights = 0.6 ** torch.arange(5.0, -1, -1)
    torch.testing.assert_close(z[:, -1], (weights[:, None] * x).sum(1) / weights.sum())


def test_the_user_state_is_a_convex_combination_of_the_events():
    core, x = Core(8).eval(), torch.rand(2, 6, 8)
    torch.nn.init.normal_(core.query.weight)
    z = core(x, torch.zeros(2, 6), torch.ones(2, 6, dtype=torch.bool))
    assert (z <= x.cummax(1).values + 1e-6).all()
    assert (z >= x.cummin(1).values - 1e-6).all()


def test_beta_out_of_range():
    with pytest.raises(ValueError, match="beta is 1"):
        Core(8, beta=1.0)
