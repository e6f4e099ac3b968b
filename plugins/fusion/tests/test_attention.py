from typing import ClassVar

import pytest

from interestlab.testing import FusionHeadTests
from interestlab_fusion.attention import Attention


class TestAttention(FusionHeadTests):
    plugin = Attention


class TestAttentionOneHead(FusionHeadTests):
    plugin = Attention
    init_args: ClassVar = {"heads": 1, "dropout": 0.5}


def test_heads_must_divide_dim():
    with pytest.raises(ValueError, match="dim 8 is not divisible by heads 3"):
        Attention(8, heads=3)
