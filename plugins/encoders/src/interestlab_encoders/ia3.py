"""(IA)³."""

from typing import Any

from peft import IA3Config, PeftConfig
from peft.utils.constants import (
    TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
    TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
)

from interestlab_encoders.tuned import Tuned


class Ia3(Tuned):
    """A text model whose keys, values and feed-forward activations are scaled by trained vectors ((IA)³, arXiv 2205.05638).

    Args:
        targets: linear modules whose output is scaled: ``auto``, or how names end.
        feedforward: those whose input is scaled instead: ``auto``, or how names end.
        kwargs: as for every tuned text encoder.

    Raises:
        ValueError: PEFT knows no places for this type of model, and none were given.
    """

    def __init__(self, targets: str | list[str] = "auto", feedforward: str | list[str] = "auto", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.targets, self.feedforward = targets, feedforward

    def config(self) -> PeftConfig:
        kind = self.chain.model.config.model_type
        if "auto" in (self.targets, self.feedforward) and kind not in TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING:
            raise ValueError(f"no places are known in a '{kind}' model; give targets and feedforward")
        inputs = self.targets_of(self.feedforward, TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING)
        outputs = self.targets_of(self.targets, TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING)
        return IA3Config(target_modules=list({*outputs, *inputs}), feedforward_modules=inputs)
