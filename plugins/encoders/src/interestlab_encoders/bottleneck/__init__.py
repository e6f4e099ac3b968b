"""Bottleneck adapters as a method of PEFT, which has none; importing this package registers it.

``peft.utils.register_peft_method`` takes only names in the enum ``PeftType``, and an enum cannot be extended in public.
What it does after its checks is to enter the method in three tables, which are public; they are written here instead, under
a member of an enum of our own. That holds for PEFT 0.21; a test says when it no longer does.
"""

from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

from interestlab_encoders.bottleneck.config import BottleneckConfig, BottleneckType
from interestlab_encoders.bottleneck.layer import BottleneckLayer
from interestlab_encoders.bottleneck.model import BottleneckModel
from interestlab_encoders.bottleneck.places import Style, places

__all__ = ["BottleneckConfig", "BottleneckLayer", "BottleneckModel", "BottleneckType", "Style", "places"]

PEFT_TYPE_TO_CONFIG_MAPPING[BottleneckType.BOTTLENECK] = BottleneckConfig  # type: ignore[index]
PEFT_TYPE_TO_TUNER_MAPPING[BottleneckType.BOTTLENECK] = BottleneckModel  # type: ignore[index]
PEFT_TYPE_TO_PREFIX_MAPPING[BottleneckType.BOTTLENECK] = BottleneckModel.prefix  # type: ignore[index]
