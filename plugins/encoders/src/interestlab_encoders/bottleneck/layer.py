"""A linear module followed by bottleneck adapters."""

from typing import Any

from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.pytorch_utils import Conv1D

from interestlab_encoders.bottleneck.config import BottleneckConfig

Linear = nn.Linear | Conv1D


class BottleneckLayer(nn.Module, BaseTunerLayer):
    """A linear module and then the bottleneck of each active adapter in turn: ``[..., I]`` -> ``[..., D]``.

    Args:
        base_layer: ``nn.Linear``, or ``Conv1D`` as in GPT-2.
        adapter_name: name of the first adapter.
        config: config of the first adapter.

    Raises:
        TypeError: ``base_layer`` is another kind of module.
    """

    # Each attribute maps adapter names to modules: PEFT removes the adapter's name from the keys that it saves and inserts it
    # when loading, as the last but one part of a key. A Sequential of these modules would be saved with the adapter's name.
    adapter_layer_names = ("bottleneck_down", "bottleneck_act", "bottleneck_up")
    other_param_names = ("bottleneck_dropout",)

    def __init__(self, base_layer: nn.Module, adapter_name: str, config: BottleneckConfig) -> None:
        super().__init__()
        if not isinstance(base_layer, Linear):
            raise TypeError(f"a bottleneck needs an nn.Linear or Conv1D before it, not {type(base_layer).__name__}")
        self.base_layer = base_layer
        self.width = output_width(base_layer)
        self.bottleneck_down, self.bottleneck_act = nn.ModuleDict(), nn.ModuleDict()
        self.bottleneck_up, self.bottleneck_dropout = nn.ModuleDict(), nn.ModuleDict()
        self.update_layer(adapter_name, config)

    def update_layer(self, adapter_name: str, config: BottleneckConfig) -> None:
        """Add an adapter with the dtype and device of the base layer.

        Args:
            adapter_name: name of the adapter.
            config: its config.
        """
        size = config.bottleneck_width(self.width)
        self.bottleneck_down[adapter_name] = nn.Linear(self.width, size)
        self.bottleneck_act[adapter_name] = ACT2FN[config.nonlinearity]
        self.bottleneck_up[adapter_name] = up = nn.Linear(size, self.width)
        self.bottleneck_dropout[adapter_name] = nn.Dropout(config.dropout)
        nn.init.zeros_(up.weight)
        nn.init.zeros_(up.bias)
        self._move_adapter_to_device_of_base_layer(adapter_name)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Run the base layer and the active adapters.

        Args:
            x: ``[..., I]``.
            *args: further arguments of the base layer.
            **kwargs: further arguments of the base layer.

        Returns:
            ``[..., D]``.
        """
        h: Tensor = self.base_layer(x, *args, **kwargs)
        if not self.disable_adapters:
            for name in self.active_adapters:
                if name in self.bottleneck_down:
                    h = h + self._adapter_output(name, h)
        return h

    def _adapter_output(self, name: str, h: Tensor) -> Tensor:
        down, act, up = self.bottleneck_down[name], self.bottleneck_act[name], self.bottleneck_up[name]
        # PEFT keeps the adapters of a half-precision model in float32.
        hidden = act(down(self._cast_input_dtype(h, down.weight.dtype)))  # type: ignore[arg-type]
        output: Tensor = self.bottleneck_dropout[name](up(hidden))
        return output.to(h.dtype)


def output_width(linear: Linear) -> int:
    """Return the width of a linear module's output.

    Args:
        linear: the module.

    Returns:
        number of output features.
    """
    return int(linear.nf if isinstance(linear, Conv1D) else linear.out_features)
