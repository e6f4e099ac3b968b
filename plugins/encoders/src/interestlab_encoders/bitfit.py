"""BitFit: fine-tuning of the biases."""

from torch import nn
from transformers import PreTrainedModel

from interestlab_encoders.text import Full


class BitFit(Full):
    """A pretrained text encoder whose bias terms are fine-tuned (BitFit).

    Source: Ben Zaken et al. 2022, arXiv 2106.10199.

    Args:
        kwargs: arguments of ``full``.

    Raises:
        ValueError: the selected layers have no biases, as in Llama-like models.
    """

    def adapt(self, pretrained_model: PreTrainedModel) -> nn.Module:
        super().adapt(pretrained_model)
        num_biases = 0
        for name, p in pretrained_model.named_parameters():
            p.requires_grad = p.requires_grad and name.rpartition(".")[2] == "bias"
            num_biases += p.requires_grad
        if not num_biases:
            raise ValueError(f"bitfit: '{self.base.name}' has no bias to train in the selected layers; use another method")
        return pretrained_model
