"""LoRA."""

from typing import Any

from peft import LoraConfig, PeftConfig
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

from interestlab_encoders.tuned import Tuned


class Lora(Tuned):
    """A text model with a trained low-rank update ΔW = (α/r)·BA of each chosen weight (LoRA, arXiv 2106.09685).

    Args:
        r: rank of the update.
        alpha: its scale α; with ``rslora`` ΔW = (α/√r)·BA (arXiv 2312.03732).
        dropout: probability of dropping an input of A.
        targets: linear modules that are updated: ``auto`` (queries and values in BERT), ``all-linear``, or how names end.
        rslora: scale by 1/√r, which keeps the size of the update as r grows.
        dora: train the length of each column beside its direction (DoRA, arXiv 2402.09353).
        kwargs: as for every tuned text encoder.
    """

    def __init__(
        self,
        r: int = 8,
        alpha: float = 16,
        dropout: float = 0.0,
        targets: str | list[str] = "auto",
        rslora: bool = False,
        dora: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.r, self.alpha, self.dropout, self.targets, self.rslora, self.dora = r, alpha, dropout, targets, rslora, dora

    def config(self) -> PeftConfig:
        return LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            target_modules=self.targets_of(self.targets, TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING),
            use_rslora=self.rslora,
            use_dora=self.dora,
        )
