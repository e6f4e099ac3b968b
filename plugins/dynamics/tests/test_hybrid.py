from typing import ClassVar

import pytest
import torch

from interestlab.testing import DynamicsTests
from interestlab_dynamics.ewma import EWMA
from interestlab_dynamics.hybrid import Hybrid


class TestHybrid(DynamicsTests):
    plugin = Hybrid
    init_args: ClassVar = {"inner": "gru"}


class TestHybridOfSeveralInterests(DynamicsTests):
    plugin = Hybrid
    init_args: ClassVar = {"inner": "multi_interest", "inner_args": {"num_interests": 3}}


@pytest.mark.parametrize("inner", ["transformer", "gru", "momentum"])
def test_starts_as_its_average(inner):
    x, dt, mask = torch.randn(3, 7, 8), torch.rand(3, 7), torch.ones(3, 7, dtype=torch.bool)
    hybrid = Hybrid(8, inner, beta=0.4).eval()
    torch.testing.assert_close(hybrid(x, dt, mask), EWMA(8, beta=0.4)(x, dt, mask))


def test_an_argument_that_the_other_dynamics_does_not_have():
    with pytest.raises(ValueError, match=r"inner_args of gru: .*layerz"):
        Hybrid(8, "gru", {"layerz": 2})
