"""Optimiser, learning rates and warm-up, by group: pretrained weights, what fine-tuning adds to them, gains, and all others."""

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
    """Learning rate, weight decay and warm-up of a group of parameters.

    Args:
        lr: learning rate after the warm-up.
        weight_decay: decoupled weight decay of matrices; vectors (biases, norms) have none.
        warmup: optimiser steps over which the learning rate rises from zero.
    """

    lr: float = 1e-3
    weight_decay: float = 0.0
    warmup: int = 0

    def __post_init__(self) -> None:
        require_at_least(0, lr=self.lr, weight_decay=self.weight_decay, warmup=self.warmup)


@dataclass(frozen=True)
class Optim(Rates):
    """The optimiser of a model. Its own rates apply to all parameters without a group.

    Args:
        lr: learning rate after the warm-up.
        weight_decay: decoupled weight decay of matrices; vectors (biases, norms) have none.
        warmup: optimiser steps over which the learning rate rises from zero.
        optimizer: ``adamw`` (arXiv 1711.05101), or ``adafactor`` (arXiv 1804.04235), which stores no second moment of
            matrices.
        schedule: after the warm-up: ``constant``, or half a ``cosine`` down to zero at the last step.
        pretrained: rates of pretrained weights.
        peft: rates of the weights that a fine-tuning method adds to pretrained ones (LoRA matrices, adapters).
        gains_lr: learning rate of the gains of a dynamics, in multiples of ``lr``. They would hardly change at
            ``lr`` itself, since a sigmoid or softplus maps them.
    """

    optimizer: Literal["adamw", "adafactor"] = "adamw"
    schedule: Literal["constant", "cosine"] = "constant"
    pretrained: Rates = field(default_factory=lambda: Rates(lr=2e-5, weight_decay=0.01))
    peft: Rates = field(default_factory=lambda: Rates(lr=5e-4))
    gains_lr: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_at_least(0, gains_lr=self.gains_lr)

    def rates_of(self, group: str | None) -> Rates:
        """Return the rates of a group.

        Args:
            group: ``pretrained``, ``peft``, ``gains``, or None for all other parameters.
        """
        gains = Rates(self.lr * self.gains_lr, 0.0, self.warmup)
        return {"pretrained": self.pretrained, "peft": self.peft, "gains": gains}.get(group or "", self)


def make_optimizer(
    optim: Optim, parameters: Iterable[nn.Parameter], named: Mapping[str, Iterable[nn.Parameter]], *, fused: bool
) -> tuple[Optimizer, list[Rates]]:
    """Make an optimiser over all trainable parameters.

    Args:
        optim: the settings.
        parameters: all parameters of the model.
        named: parameters by group; the others have no group.
        fused: whether AdamW is fused, which is faster, but excludes gradient clipping under mixed precision.

    Returns:
        The optimiser, and the rates of each of its parameter groups.
    """
    group_of = {id(p): name for name, params in named.items() for p in params}
    sets: dict[tuple[str | None, bool], list[nn.Parameter]] = {}
    for p in parameters:
        if p.requires_grad:
            sets.setdefault((group_of.get(id(p)), p.ndim > 1), []).append(p)
    groups: list[dict[str, Any]] = []
    rates: list[Rates] = []
    for (name, is_matrix), params in sets.items():
        rate = optim.rates_of(name)
        groups.append({"params": params, "lr": rate.lr, "weight_decay": rate.weight_decay if is_matrix else 0.0})
        rates.append(rate)
    if optim.optimizer == "adafactor":
        return torch.optim.Adafactor(groups), rates
    return torch.optim.AdamW(groups, fused=fused), rates


def make_scheduler(optimizer: Optimizer, rates: list[Rates], kind: str, steps: float) -> LambdaLR:
    """Make a scheduler that warms up each parameter group.

    Args:
        optimizer: the optimiser.
        rates: rates of each of its parameter groups.
        kind: ``constant`` or ``cosine``, after the warm-up.
        steps: optimiser steps of the training; infinite if unknown, which makes the rate constant.
    """

    def make_factor(warmup: int) -> Callable[[int], float]:
        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            if kind == "constant" or math.isinf(steps):
                return 1.0
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

        return factor

    return LambdaLR(optimizer, [make_factor(rate.warmup) for rate in rates])
