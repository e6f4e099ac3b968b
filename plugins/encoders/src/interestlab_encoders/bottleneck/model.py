"""Bottleneck adapters in a complete model."""

from typing import ClassVar, NoReturn

from peft.tuners.tuners_utils import BaseTuner
from torch import nn

from interestlab_encoders.bottleneck.config import BottleneckConfig
from interestlab_encoders.bottleneck.layer import BottleneckLayer


class BottleneckModel(BaseTuner):
    """The PEFT tuner that ``peft.get_peft_model`` creates for a :class:`BottleneckConfig`.

    Merging raises ValueError: a bottleneck is not linear, so it cannot be merged into a weight.
    """

    prefix = "bottleneck_"
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: ClassVar[dict[str, list[str]]] = {}  # type: ignore[misc]

    def _create_and_replace(  # type: ignore[override]
        self,
        peft_config: BottleneckConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.update_layer(adapter_name, peft_config)
        else:
            self._replace_module(parent, target_name, BottleneckLayer(target, adapter_name, peft_config), target)

    def _check_merge_allowed(self) -> NoReturn:
        raise ValueError("bottleneck adapters are not linear and cannot be merged into a model; export without --merged")
