"""LoRA: low-rank updates."""

from typing import Any

from peft import LoraConfig, PeftConfig
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING

from interestlab_encoders.peft_encoder import PeftEncoder


class Lora(PeftEncoder):
    """A pretrained text encoder fine-tuned with low-rank updates (LoRA); rsLoRA and DoRA are options.

    Each target weight is updated by ΔW = (α/r)·BA.

    Source: Hu et al. 2022, arXiv 2106.09685.

    Args:
        r: rank of the update.
        alpha: scale α of the update.
        dropout: probability of dropping an input of A.
        targets: linear modules to update: ``auto`` (queries and values in BERT), ``all-linear``, or name suffixes.
        rslora: scale by α/√r instead, which keeps the size of the update as r grows (arXiv 2312.03732).
        dora: train the norm of each column separately from its direction (DoRA, arXiv 2402.09353).
        kwargs: arguments of every PEFT text encoder.
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

    def peft_config(self) -> PeftConfig:
        return LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            target_modules=self.resolve_targets(self.targets, TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING),
            use_rslora=self.rslora,
            use_dora=self.dora,
        )
