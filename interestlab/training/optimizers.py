"""Optimiser, learning rates and warm-up: sets for pretrained backbones, for what is added to them, and for the rest."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from interestlab.utils.argument_checks import require_at_least


@dataclass(frozen=True)
class Rates:
    """How fast a group of parameters learns.

    Args:
        lr: learning rate after the warm-up.
        weight_decay: decoupled weight decay of matrices; vectors (biases, norms) have none.
        warmup: steps over which the rate rises from zero.
    """

    lr: float = 1e-3
    weight_decay: float = 0.0
    warmup: int = 0

    def __post_init__(self) -> None:
        require_at_least(0, lr=self.lr, weight_decay=self.weight_decay, warmup=self.warmup)


@dataclass(frozen=True)
class Optim(Rates):
    """The optimiser of a model; its own rates are for all that has no other.

    Args:
        lr: learning rate after the warm-up.
        weight_decay: decoupled weight decay of matrices; vectors (biases, norms) have none.
        warmup: steps over which the rate rises from zero.
        optimizer: ``adamw`` (arXiv 1711.05101) or ``adafactor`` (1804.04235), which keeps no second moment of matrices.
        schedule: after the warm-up: ``constant``, or a half ``cosine`` down to zero at the last step.
        pretrained: rates of pretrained weights.
        peft: rates of what a fine-tuning method adds to pretrained weights (LoRA's matrices, adapters).
    """

    optimizer: Literal["adamw", "adafactor"] = "adamw"
    schedule: Literal["constant", "cosine"] = "constant"
    pretrained: Rates = field(default_factory=lambda: Rates(lr=2e-5, weight_decay=0.01))
    peft: Rates = field(default_factory=lambda: Rates(lr=5e-4))

    def of(self, group: str | None) -> Rates:
        """The rates of ``pretrained``, of ``peft``, or of the rest."""
        return {"pretrained": self.pretrained, "peft": self.peft}.get(group or "", self)


def optimizer(
    optim: Optim, parameters: Iterable[nn.Parameter], named: Mapping[str, Iterable[nn.Parameter]], *, fused: bool
) -> tuple[Optimizer, list[Rates]]:
    """An optimiser over all trainable ``parameters``, those of the ``named`` groups with rates of their own.

    A ``fused`` AdamW is faster, and cannot have its gradients clipped under mixed precision.

    Returns:
        the optimiser, and the rates of each of its groups.
    """
    group_of = {id(p): name for name, params in named.items() for p in params}
    sets: dict[tuple[str | None, bool], list[nn.Parameter]] = {}
    for p in parameters:
        if p.requires_grad:
            sets.setdefault((group_of.get(id(p)), p.ndim > 1), []).append(p)
    groups: list[dict[str, Any]] = []
    rates: list[Rates] = []
    for (name, matrix), params in sets.items():
        rate = optim.of(name)
        groups.append({"params": params, "lr": rate.lr, "weight_decay": rate.weight_decay if matrix else 0.0})
        rates.append(rate)
    if optim.optimizer == "adafactor":
        return torch.optim.Adafactor(groups), rates
    return torch.optim.AdamW(groups, fused=fused), rates


def schedule(optimizer: Optimizer, rates: list[Rates], kind: str, steps: float) -> LambdaLR:
    """Warm-up of each group, then ``constant`` or ``cosine`` over ``steps``."""

    def factor_of(warmup: int) -> Callable[[int], float]:
        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            if kind == "constant" or math.isinf(steps):
                return 1.0
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

        return factor

    return LambdaLR(optimizer, [factor_of(rate.warmup) for rate in rates])
