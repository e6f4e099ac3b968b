"""Check that the framework and the plain loop train the same model."""

import argparse
from copy import deepcopy
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from benchmarks.finetuning_cost.methods import FRAMEWORK_METHODS
from benchmarks.finetuning_cost.plain_loop import PlainLoop
from benchmarks.finetuning_cost.plain_model import PlainModel
from benchmarks.harness.reference import check_same_losses, relative_differences
from benchmarks.harness.timing import Stopwatch
from interestlab.data.fields import FieldValues
from interestlab.training.lightning_module import InterestModel

PIECE_TOKENS = 512
"""Small enough that a batch of the check has several pieces."""


class CompareLosses(Callback):
    """Repeats each step of the trainer in two plain loops without dropout, and compares the losses.

    One loop takes a batch in one piece, the other in several.

    Args:
        method: name of the method.
        titles: titles of the catalogue as tokens.
        log_q: ``[N]`` log of each item's share of the training events.
        options: the command line.

    Attributes:
        differences: largest relative difference of the losses, per step.
    """

    def __init__(self, method: str, titles: FieldValues, log_q: Tensor, options: argparse.Namespace) -> None:
        self.method, self.titles, self.log_q, self.options = method, titles, log_q, options
        self.differences: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model = cast(InterestModel, pl_module)
        with torch.no_grad():  # added weights start at zero, where an error in their use would not show
            for p in model.backbone.encoders.parameters():
                if p.requires_grad and not p.any():
                    p.normal_(std=0.02)
        encoder, arguments = FRAMEWORK_METHODS[self.method]
        plain = PlainModel(encoder, **arguments).copy_weights(model).eval()
        log_q, stopwatch = self.log_q.to(model.device), Stopwatch(device=model.device)
        self.loops = [
            PlainLoop(deepcopy(plain), self.titles, log_q, piece_tokens, "32-true", stopwatch)
            for piece_tokens in (None, PIECE_TOKENS)
        ]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        pl_module.eval()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        plain = [loop.train_step(batch).loss for loop in self.loops]
        framework = [float(outputs["loss"])] * len(plain)
        where = f"at step {batch_idx + 1} of {self.method}, with a plain batch in one piece and in several"
        check_same_losses(plain, framework, where)
        self.differences.append(max(relative_differences(plain, framework)))
