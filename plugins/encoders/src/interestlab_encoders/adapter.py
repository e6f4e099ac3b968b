"""Bottleneck adapters."""

from typing import Any

from peft import PeftConfig

from interestlab_encoders.bottleneck import BottleneckConfig, Style, places
from interestlab_encoders.tuned import Tuned


class Adapter(Tuned):
    """A text model with a trained bottleneck after each sublayer (Houlsby, arXiv 1902.00751; Pfeiffer, 2005.00247).

    Args:
        style: ``houlsby``: after the attention and after the feed-forward; ``pfeiffer``: after the feed-forward alone.
        reduction: how many times narrower than the model the bottleneck is.
        nonlinearity: inside of it, by its name in transformers.
        dropout: probability of dropping a number of what is added.
        kwargs: as for every tuned text encoder.
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

    def config(self) -> PeftConfig:
        return BottleneckConfig(
            target_modules=places(self.chain.model, self.chain.choose(self.layers), self.style),
            reduction=self.reduction,
            nonlinearity=self.nonlinearity,
            dropout=self.dropout,
        )
