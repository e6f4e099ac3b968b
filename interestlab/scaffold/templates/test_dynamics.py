"""Conformance checks of a dynamics, and tests of this class."""

import pytest
import torch
from interestlab.testing import DynamicsTests

from my_plugin.dynamics import MyPlugin


class TestMyPlugin(DynamicsTests):
    plugin = MyPlugin


def test_values():
    x = torch.tensor([1.0, 2.0, 0.0]).reshape(1, 3, 1)
    z = MyPlugin(1, rate=0.5)(x, torch.zeros(1, 3), torch.ones(1, 3, dtype=torch.bool))
    torch.testing.assert_close(z.flatten(), torch.tensor([0.5, 1.25, 0.625]))


@pytest.mark.parametrize("rate", [-0.1, 0.0, 1.0])
def test_rate_out_of_range(rate):
    with pytest.raises(ValueError, match="rate must be between 0 and 1"):
        MyPlugin(1, rate=rate)
