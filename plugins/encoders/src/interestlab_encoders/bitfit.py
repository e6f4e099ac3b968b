"""BitFit."""

from torch import nn
from transformers import PreTrainedModel

from interestlab_encoders.text import Full


class BitFit(Full):
    """A text model of which the bias terms alone are fine-tuned (BitFit, arXiv 2106.10199).

    Args:
        kwargs: as for ``full``.

    Raises:
        ValueError: the chosen layers have no biases, as in Llama-like models.
    """

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        super().adapt(backbone)
        biases = 0
        for name, p in backbone.named_parameters():
            p.requires_grad = p.requires_grad and name.rpartition(".")[2] == "bias"
            biases += p.requires_grad
        if not biases:
            raise ValueError(f"bitfit found no bias to train in '{self.base.name}'")
        return backbone
