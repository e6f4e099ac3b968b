"""Bottleneck adapters as a PEFT method; importing this package registers it.

``peft.utils.register_peft_method`` accepts only names in the enum ``PeftType``, which has no public way to be extended. After
its checks, the function adds the method to three public tables. This package writes these tables itself, with a member of its
own enum as key. This works for PEFT 0.21; a test fails if it no longer does.
"""

from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

from interestlab_encoders.bottleneck.config import BottleneckConfig, BottleneckType
from interestlab_encoders.bottleneck.layer import BottleneckLayer
from interestlab_encoders.bottleneck.model import BottleneckModel
from interestlab_encoders.bottleneck.target_modules import Style, find_target_modules

__all__ = ["BottleneckConfig", "BottleneckLayer", "BottleneckModel", "BottleneckType", "Style", "find_target_modules"]

PEFT_TYPE_TO_CONFIG_MAPPING[BottleneckType.BOTTLENECK] = BottleneckConfig  # type: ignore[index]
PEFT_TYPE_TO_TUNER_MAPPING[BottleneckType.BOTTLENECK] = BottleneckModel  # type: ignore[index]
PEFT_TYPE_TO_PREFIX_MAPPING[BottleneckType.BOTTLENECK] = BottleneckModel.prefix  # type: ignore[index]
