"""AdaLoRA: low-rank updates with adaptive rank allocation."""

from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from peft import AdaLoraConfig, PeftConfig
from peft.tuners.adalora import AdaLoraModel
from peft.utils.constants import TRANSFORMERS_MODELS_TO_ADALORA_TARGET_MODULES_MAPPING
from torch import Tensor

from interestlab.errors import TrainingError
from interestlab_encoders.peft_encoder import PeftEncoder

IMPORTANCE_SCORES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""Attributes of PEFT's rank allocator that hold the importance of each parameter."""


class AdaLora(PeftEncoder):
    """A pretrained text encoder fine-tuned with low-rank updates whose ranks are allocated by importance (AdaLoRA).

    Every update ΔW = PΛQ starts with rank ``init_r``. Between the shares ``warmup`` and ``1 - final`` of the training steps,
    the least important ranks of all updates are masked on a cubic schedule, until the mean rank is ``target_r``. The ranks are
    logged as ``train/rank_mean``, ``train/rank_min`` and ``train/rank_max``.

    PEFT leaves three tasks to its caller, and this encoder does all of them: it adds the orthogonality term
    ‖PᵀP−I‖ + ‖QQᵀ−I‖ to the loss as a penalty, it allocates ranks after each optimiser step while the gradients still exist,
    and it takes the number of steps from the trainer.

    Source: Zhang et al. 2023, arXiv 2303.10512.

    Args:
        target_r: mean rank at the end.
        init_r: initial rank, more than ``target_r``.
        alpha: scale of the update.
        dropout: probability of dropping an input of Q.
        targets: linear modules to update: ``auto``, ``all-linear``, or name suffixes.
        warmup: share of the steps before ranks are masked.
        final: share of the steps at the end in which ranks are fixed.
        interval: steps between two allocations.
        orthogonality: weight of the orthogonality term, γ in the paper.
        kwargs: arguments of every PEFT text encoder.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        target_r: int = 8,
        init_r: int = 12,
        alpha: float = 16,
        dropout: float = 0.0,
        targets: str | list[str] = "auto",
        warmup: float = 0.1,
        final: float = 0.3,
        interval: int = 1,
        orthogonality: float = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 1 <= target_r < init_r:
            raise ValueError(f"target_r={target_r} must be at least 1 and less than init_r={init_r}, because ranks only fall")
        if interval < 1:
            raise ValueError(f"interval={interval} must be at least 1")
        if not (warmup >= 0 and final >= 0 and warmup + final < 1):
            raise ValueError(f"warmup={warmup} and final={final} leave no steps in which ranks can fall")
        self.target_r, self.init_r, self.alpha, self.dropout, self.targets = target_r, init_r, alpha, dropout, targets
        self.warmup, self.final, self.interval, self.orthogonality = warmup, final, interval, orthogonality
        self._last_step, self._allocates = 0, False

    def peft_config(self) -> PeftConfig:
        return AdaLoraConfig(
            target_r=self.target_r,
            init_r=self.init_r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            deltaT=self.interval,
            orth_reg_weight=self.orthogonality,
            target_modules=self.resolve_targets(self.targets, TRANSFORMERS_MODELS_TO_ADALORA_TARGET_MODULES_MAPPING),
            total_step=2,  # PEFT requires a value before there is a trainer; see on_fit_start
        )

    @property
    def tuner(self) -> AdaLoraModel:
        """PEFT's module around the text model."""
        return self.pretrained_model.base_model  # type: ignore[return-value]

    @property
    def allocation(self) -> AdaLoraConfig:
        """PEFT's options of the allocation, which change during training."""
        return self.tuner.peft_config["default"]  # type: ignore[return-value]

    def ranks(self) -> dict[str, int]:
        """Count the ranks of each update that are not masked.

        Returns:
            rank by module name.
        """
        return {
            name.removesuffix(".lora_E.default"): int((p != 0).sum())
            for name, p in self.tuner.model.named_parameters()
            if name.endswith("lora_E.default")
        }

    def penalty(self) -> Tensor | None:
        if not self.orthogonality:
            return None
        norms = []
        for name, p in self.tuner.model.named_parameters():
            if name.endswith(("lora_A.default", "lora_B.default")):
                gram = p @ p.T if "lora_A" in name else p.T @ p
                norms.append(torch.linalg.norm(gram - torch.eye(len(gram), device=p.device, dtype=p.dtype)))
        return self.orthogonality * torch.stack(norms).mean()

    def on_fit_start(self) -> None:
        super().on_fit_start()
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise TrainingError("adalora needs the number of training steps: set --trainer.max_epochs or --trainer.max_steps")
        config = self.allocation
        config.total_step, config.tinit, config.tfinal = int(steps), int(self.warmup * steps), int(self.final * steps)
        # PEFT's last allocation needs the importance measured in an earlier step.
        self._allocates = config.total_step - config.tfinal - config.tinit >= 2
        if not self._allocates:
            rank_zero_warn(f"adalora: {steps} steps are too few to reduce ranks; every rank remains {self.init_r}.")

    def on_train_start(self) -> None:
        super().on_train_start()
        for name in IMPORTANCE_SCORES:  # restored before the model moved to its device
            scores = getattr(self.tuner.rankallocator, name)
            setattr(self.tuner.rankallocator, name, {k: v.to(self.device) for k, v in scores.items()})
        self._last_step = self.trainer.global_step  # not known before, when training resumes

    def on_train_batch_end(self, *args: Any) -> None:
        super().on_train_batch_end(*args)
        step = self.trainer.global_step
        if step == self._last_step:  # gradients are still being accumulated
            return
        self._last_step = step
        if self._allocates:
            self.tuner.update_and_allocate(step)
        ranks = list(self.ranks().values())
        for name, value in {"mean": sum(ranks) / len(ranks), "min": min(ranks), "max": max(ranks)}.items():
            self.log(f"train/rank_{name}", float(value))

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of the rank allocator, so that resumed training continues with the same ranks.

        Returns:
            importance scores by parameter, and the ranks.
        """
        allocator = self.tuner.rankallocator
        scores = {name: dict(getattr(allocator, name)) for name in IMPORTANCE_SCORES}
        return scores | {"rank_pattern": self.allocation.rank_pattern}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the state of the rank allocator.

        Args:
            state: from :meth:`get_extra_state`.
        """
        for name in IMPORTANCE_SCORES:
            setattr(self.tuner.rankallocator, name, dict(state[name]))
        self.allocation.rank_pattern = state["rank_pattern"]
