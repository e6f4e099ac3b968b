"""Bottleneck adapters."""

from typing import Any

from peft import PeftConfig

from interestlab_encoders.bottleneck import BottleneckConfig, Style, find_target_modules
from interestlab_encoders.peft_encoder import PeftEncoder


class Adapter(PeftEncoder):
    """A pretrained text encoder fine-tuned with bottleneck adapters after its sublayers (Houlsby, Pfeiffer).

    Source: Houlsby et al. 2019, arXiv 1902.00751; Pfeiffer et al. 2020, arXiv 2005.00247.

    Args:
        style: ``houlsby``: after the attention and the feed-forward layer; ``pfeiffer``: after the feed-forward layer only.
        reduction: width of the model divided by the width of the bottleneck.
        nonlinearity: activation of the bottleneck, by its name in transformers.
        dropout: probability of dropping an element of the adapter's output.
        kwargs: arguments of every PEFT text encoder.
    """

    def __init__(
        self,
        style: Style = "houlsby",
        reduction: int = 16,
        nonlinearity: str = "relu",
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.style, self.reduction, self.nonlinearity, self.dropout = style, reduction, nonlinearity, dropout

    def peft_config(self) -> PeftConfig:
        layers = self.layer_stack.top_layers(self.layers)
        return BottleneckConfig(
            target_modules=find_target_modules(self.layer_stack.model, layers, self.style),
            reduction=self.reduction,
            nonlinearity=self.nonlinearity,
            dropout=self.dropout,
        )
