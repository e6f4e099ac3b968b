"""A linear module with bottlenecks after it."""

from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.pytorch_utils import Conv1D

from interestlab_encoders.bottleneck.config import BottleneckConfig

Linear = nn.Linear | Conv1D


class BottleneckLayer(nn.Module, BaseTunerLayer):
    """A linear module, and after it the bottleneck of each active adapter, one upon the other: ``[..., I]`` -> ``[..., D]``.

    Args:
        base_layer: ``nn.Linear``, or ``Conv1D`` as in GPT-2.
        adapter_name: of its first adapter.
        config: of its first adapter.

    Raises:
        TypeError: ``base_layer`` is another module.
    """

    # Each is a table of modules by adapter: PEFT takes an adapter's name out of the keys it saves, and puts it in again,
    # where it stands last but one in them. A Sequential of these would be saved under the adapter's name.
    adapter_layer_names = ("bottleneck_down", "bottleneck_act", "bottleneck_up")
    other_param_names = ("bottleneck_dropout",)

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: BottleneckConfig) -> None:
        super().__init__()
        if not isinstance(base_layer, Linear):
            raise TypeError(f"a bottleneck goes after nn.Linear or Conv1D, not {type(base_layer).__name__}")
        self.base_layer = base_layer
        self.width = width(base_layer)
        self.bottleneck_down, self.bottleneck_act = nn.ModuleDict(), nn.ModuleDict()
        self.bottleneck_up, self.bottleneck_dropout = nn.ModuleDict(), nn.ModuleDict()
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: BottleneckConfig) -> None:
        """Add an adapter, of the base layer's dtype and on its device."""
        size = config.width(self.width)
        self.bottleneck_down[adapter_name] = nn.Linear(self.width, size)
        self.bottleneck_act[adapter_name] = ACT2FN[config.nonlinearity]
        self.bottleneck_up[adapter_name] = up = nn.Linear(size, self.width)
        self.bottleneck_dropout[adapter_name] = nn.Dropout(config.dropout)
        nn.init.zeros_(up.weight)
        nn.init.zeros_(up.bias)
        self._move_adapter_to_device_of_base_layer(adapter_name)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        h: Tensor = self.base_layer(x, *args, **kwargs)
        if not self.disable_adapters:
            for name in self.active_adapters:
                if name in self.bottleneck_down:
                    h = h + self._added(name, h)
        return h

    def _added(self, name: str, h: Tensor) -> Tensor:
        down, act, up = self.bottleneck_down[name], self.bottleneck_act[name], self.bottleneck_up[name]
        # PEFT keeps adapters of a half-precision model in float32.
        inside = act(down(self._cast_input_dtype(h, down.weight.dtype)))  # type: ignore[arg-type]
        added: Tensor = self.bottleneck_dropout[name](up(inside))
        return added.to(h.dtype)


def width(linear: Linear) -> int:
    """Of the vectors that a linear module gives."""
    return int(linear.nf if isinstance(linear, Conv1D) else linear.out_features)
