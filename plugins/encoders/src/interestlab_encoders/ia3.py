"""(IA)³: learnt scales of activations."""

from typing import Any

from peft import IA3Config, PeftConfig
from peft.utils.constants import (
    TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
    TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
)

from interestlab_encoders.peft_encoder import PeftEncoder


class Ia3(PeftEncoder):
    """A pretrained text encoder fine-tuned with learnt scales of keys, values and feed-forward activations ((IA)³).

    Source: Liu et al. 2022, arXiv 2205.05638.

    Args:
        targets: linear modules whose output is scaled: ``auto``, or name suffixes.
        feedforward: linear modules whose input is scaled: ``auto``, or name suffixes.
        kwargs: arguments of every PEFT text encoder.

    Raises:
        ValueError: an argument is ``auto`` and PEFT has no default for this type of model.
    """

    def __init__(self, targets: str | list[str] = "auto", feedforward: str | list[str] = "auto", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.targets, self.feedforward = targets, feedforward

    def peft_config(self) -> PeftConfig:
        model_type = self.layer_stack.model.config.model_type
        if "auto" in (self.targets, self.feedforward) and model_type not in TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING:
            raise ValueError(f"PEFT has no default modules for a '{model_type}' model; set targets and feedforward")
        scaled_inputs = self.resolve_targets(self.feedforward, TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING)
        scaled_outputs = self.resolve_targets(self.targets, TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING)
        return IA3Config(target_modules=list({*scaled_outputs, *scaled_inputs}), feedforward_modules=scaled_inputs)
