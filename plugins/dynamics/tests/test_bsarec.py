from typing import ClassVar

import pytest
import torch

from interestlab.testing import DynamicsTests
from interestlab_dynamics.bsarec import BSARec, FilterBlock


class TestBSARec(DynamicsTests):
    plugin = BSARec


class TestFilterAlone(DynamicsTests):
    plugin = BSARec
    init_args: ClassVar = {"mix": 1.0}


def test_the_filter_passes_a_constant_and_scales_a_jump():
    block = FilterBlock(4, 1, 0.0, 8, mix=1.0)
    constant = torch.ones(1, 5, 4)
    torch.testing.assert_close(block.low_pass(constant, None), constant)
    jump = torch.cat([torch.zeros(1, 3, 4), torch.ones(1, 1, 4)], 1)
    torch.testing.assert_close(block.low_pass(jump, None)[0, -1], torch.sigmoid(block.raw_rate))


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="mix is 2"):
        BSARec(8, mix=2.0)
