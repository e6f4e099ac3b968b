"""The LightningModule, and the callback that keeps the best weights."""

import math
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from interestlab.errors import TrainingError
from interestlab.pretraining.objectives.base import Measured, PretrainObjective
from interestlab.pretraining.trained_weights import TrainedWeights
from interestlab.training.optimizers import Optim, make_optimizer, make_scheduler
from interestlab.training.seeding import seed_everything_from

LOSS = "heldout/loss"
"""Name of the held-out loss."""

LOWER_RATES = "lower --optim.pretrained.lr, --optim.peft.lr or --optim.lr"
"""Advice when a loss is not finite."""


class PretrainModule(LightningModule):
    """Trains an objective, and measures its loss on held-out texts.

    Args:
        objective: the loss, which owns the model.
        weights: what is trained.
        optim: optimiser settings.
        seed: seed of the dropout.
    """

    def __init__(self, objective: PretrainObjective, weights: TrainedWeights, optim: Optim, seed: int) -> None:
        super().__init__()
        self.objective, self.weights, self.optim, self.seed = objective, weights, optim, seed
        self._sums: list[Tensor] = []

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # so that a measurement between two steps changes no later step
        seed_everything_from([self.seed, self.current_epoch, batch_idx])

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        measured: Measured = self.objective(batch)
        self.log("train/loss", measured.loss.detach(), prog_bar=True, batch_size=1)
        return measured.loss

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        loss = self.trainer.callback_metrics["train/loss"]
        if not loss.isfinite():
            raise TrainingError(
                f"training stopped at step {self.trainer.global_step}: the loss is {float(loss)}; {LOWER_RATES}."
            )

    def on_validation_epoch_start(self) -> None:
        self._sums = []

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        loss, count, correct = self.objective(batch)
        self._sums.append(torch.stack([loss.double() * count, count.to(loss).double(), correct.to(loss).double()]))

    def on_validation_epoch_end(self) -> None:
        total, count, correct = torch.stack(self._sums).sum(0).tolist()
        loss = total / max(1.0, count)
        metrics = {LOSS: loss, "heldout/accuracy": correct / max(1.0, count)}
        if self.objective.has_perplexity:
            metrics["heldout/perplexity"] = math.exp(min(loss, 700.0))
        self.log_dict(metrics)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        parameters = dict.fromkeys(self.parameters())
        optimizer, rates = make_optimizer(self.optim, parameters, self.weights.groups, fused=False)
        scheduler = make_scheduler(optimizer, rates, self.optim.schedule, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class KeepBest(Callback):
    """Keep the trained weights of the lowest held-out loss in memory, and restore them at the end.

    Attributes:
        step: training steps before the lowest loss; None before the first measurement.
    """

    def __init__(self) -> None:
        self.step: int | None = None
        self._loss, self._weights = math.inf, list[tuple[nn.Parameter, Tensor]]()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(trainer.callback_metrics[LOSS])
        if trainer.state.fn == "fit" and loss < self._loss:
            trained = [p for p in pl_module.parameters() if p.requires_grad]
            self._loss, self.step = loss, trainer.global_step
            self._weights = [(p, p.detach().cpu().clone()) for p in trained]

    @torch.no_grad()
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for parameter, value in self._weights:
            parameter.copy_(value)
