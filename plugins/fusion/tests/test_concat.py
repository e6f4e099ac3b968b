from typing import ClassVar

from interestlab.testing import FusionHeadTests
from interestlab_fusion.concat import Concat


class TestConcat(FusionHeadTests):
    plugin = Concat


class TestConcatDropout(FusionHeadTests):
    plugin = Concat
    init_args: ClassVar = {"dropout": 0.5}
