"""AdaLoRA: low-rank updates whose ranks go where they are needed."""

from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_warn
from peft import AdaLoraConfig, PeftConfig
from peft.tuners.adalora import AdaLoraModel
from peft.utils.constants import TRANSFORMERS_MODELS_TO_ADALORA_TARGET_MODULES_MAPPING
from torch import Tensor

from interestlab.errors import TrainingError
from interestlab_encoders.tuned import Tuned

MEMORY = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What PEFT's allocator remembers of the importance of each parameter."""


class AdaLora(Tuned):
    """A text model with updates ΔW = PΛQ whose ranks are allocated by importance (AdaLoRA, arXiv 2303.10512).

    Every update starts with rank ``init_r``. Between the shares ``warmup`` and ``1 - final`` of the training steps, the
    least important ranks of all updates are masked, along a cubic schedule, until ``target_r`` an update is left on average.
    ``train/rank_mean``, ``_min`` and ``_max`` follow it.

    PEFT leaves three things to its caller, and all are done here: the orthogonality term ‖PᵀP−I‖ + ‖QQᵀ−I‖ is added to
    the loss as a penalty; ranks are allocated after each step of the optimiser, before its gradients are gone; and the
    number of steps is the trainer's.

    Args:
        target_r: mean rank at the end.
        init_r: rank at the start, more than ``target_r``.
        alpha: scale of the update.
        dropout: probability of dropping an input of Q.
        targets: linear modules that are updated: ``auto``, ``all-linear``, or how names end.
        warmup: share of the steps before ranks are masked.
        final: share of the steps after which ranks stay.
        interval: steps between two allocations.
        orthogonality: weight of the orthogonality term, γ in the paper.
        kwargs: as for every tuned text encoder.
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
            raise ValueError(f"target_r={target_r} must be at least 1 and less than init_r={init_r}: ranks only fall")
        if interval < 1:
            raise ValueError(f"interval={interval} must be at least 1")
        if not (warmup >= 0 and final >= 0 and warmup + final < 1):
            raise ValueError(f"warmup={warmup} and final={final} leave no steps in which ranks could fall")
        self.target_r, self.init_r, self.alpha, self.dropout, self.targets = target_r, init_r, alpha, dropout, targets
        self.warmup, self.final, self.interval, self.orthogonality = warmup, final, interval, orthogonality
        self._steps, self._allocates = 0, False

    def config(self) -> PeftConfig:
        return AdaLoraConfig(
            target_r=self.target_r,
            init_r=self.init_r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            deltaT=self.interval,
            orth_reg_weight=self.orthogonality,
            target_modules=self.targets_of(self.targets, TRANSFORMERS_MODELS_TO_ADALORA_TARGET_MODULES_MAPPING),
            total_step=2,  # PEFT asks for it before there is a trainer; see on_fit_start
        )

    @property
    def tuner(self) -> AdaLoraModel:
        """PEFT's own module."""
        return self.backbone.base_model  # type: ignore[return-value]

    @property
    def allocation(self) -> AdaLoraConfig:
        """PEFT's options of the allocation, which change during the training."""
        return self.tuner.peft_config["default"]  # type: ignore[return-value]

    def ranks(self) -> dict[str, int]:
        """How many ranks of each update are not masked."""
        return {
            name.removesuffix(".lora_E.default"): int((p != 0).sum())
            for name, p in self.tuner.model.named_parameters()
            if name.endswith("lora_E.default")
        }

    def penalty(self) -> Tensor | None:
        if not self.orthogonality:
            return None
        gaps = []
        for name, p in self.tuner.model.named_parameters():
            if name.endswith(("lora_A.default", "lora_B.default")):
                gram = p @ p.T if "lora_A" in name else p.T @ p
                gaps.append(torch.linalg.norm(gram - torch.eye(len(gram), device=p.device, dtype=p.dtype)))
        return self.orthogonality * torch.stack(gaps).mean()

    def on_fit_start(self) -> None:
        super().on_fit_start()
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise TrainingError("adalora lets ranks fall over the whole training: set --trainer.max_epochs or max_steps")
        config = self.allocation
        config.total_step, config.tinit, config.tfinal = int(steps), int(self.warmup * steps), int(self.final * steps)
        # PEFT's last allocation needs the importance that a step before it measured.
        self._allocates = config.total_step - config.tfinal - config.tinit >= 2
        if not self._allocates:
            rank_zero_warn(f"adalora: {steps} steps are too few for ranks to fall; all {self.init_r} are kept.")

    def on_train_start(self) -> None:
        super().on_train_start()
        for name in MEMORY:  # restored before the model moved to its device
            memory = getattr(self.tuner.rankallocator, name)
            setattr(self.tuner.rankallocator, name, {k: v.to(self.device) for k, v in memory.items()})
        self._steps = self.trainer.global_step  # a resumed training knows it only now

    def on_train_batch_end(self, *args: Any) -> None:
        super().on_train_batch_end(*args)
        step = self.trainer.global_step
        if step == self._steps:  # gradients are still being accumulated
            return
        self._steps = step
        if self._allocates:
            self.tuner.update_and_allocate(step)
        ranks = list(self.ranks().values())
        for name, value in {"mean": sum(ranks) / len(ranks), "min": min(ranks), "max": max(ranks)}.items():
            self.log(f"train/rank_{name}", float(value))

    def get_extra_state(self) -> dict[str, Any]:
        """What the allocator remembers, so that a resumed training goes on with the same ranks."""
        allocator = self.tuner.rankallocator
        memory = {name: dict(getattr(allocator, name)) for name in MEMORY}
        return memory | {"rank_pattern": self.allocation.rank_pattern}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`get_extra_state` gave."""
        for name in MEMORY:
            setattr(self.tuner.rankallocator, name, dict(state[name]))
        self.allocation.rank_pattern = state["rank_pattern"]
