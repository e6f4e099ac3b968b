"""Let the framework and the bare loop train in turns, epoch by epoch."""

from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.progress import Progress
from torch import Tensor

from benchmarks.harness.reference import check_same_losses, relative_differences
from benchmarks.overhead.bare_loop import BareLoop, name_epoch
from interestlab.training.lightning_module import InterestModel


class AlternateEpochs(Callback):
    """Times each epoch of the trainer, and then runs an epoch of the bare loop.

    Args:
        bare_loop: the other loop.
        progress: shows the steps.

    Attributes:
        framework_seconds: seconds of each epoch of the trainer, the warm-up first.
        bare_seconds: seconds of each epoch of the bare loop, the warm-up first.
        loss_differences: relative differences of the losses in the warm-up.
    """

    def __init__(self, bare_loop: BareLoop, progress: Progress) -> None:
        self.bare_loop, self.progress = bare_loop, progress
        self.framework_seconds: list[float] = []
        self.bare_seconds: list[float] = []
        self.loss_differences: dict[str, float] = {}
        self.losses: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.bare_loop.copy_weights(cast(InterestModel, pl_module))
        self.stopwatch = self.bare_loop.stopwatch
        self.start = self.stopwatch.now()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        name = f"framework, {name_epoch(trainer.current_epoch)}"
        self.task = self.progress.add_task(name, total=int(trainer.num_training_batches))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(outputs["loss"])
        self.progress.advance(self.task)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch
        self.framework_seconds.append(self.stopwatch.now() - self.start)
        self.progress.remove_task(self.task)
        seconds, bare_losses = self.bare_loop.train_epoch(epoch)
        self.bare_seconds.append(seconds)
        if epoch == 0:
            self.loss_differences = compare_losses(torch.stack(self.losses).tolist(), torch.stack(bare_losses).tolist())
        else:
            self.progress.print(
                f"{name_epoch(epoch)}: framework {self.framework_seconds[-1]:.2f} s, bare {seconds:.2f} s, "
                f"ratio {seconds / self.framework_seconds[-1]:.3f}"
            )
        self.losses.clear()
        self.start = self.stopwatch.now()


def compare_losses(framework: list[float], bare: list[float]) -> dict[str, float]:
    """Return relative differences of the losses of two loops over one epoch.

    Raises:
        SystemExit: the first two losses differ by more than rounding, so the loops train different models.
    """
    differences = relative_differences(framework, bare)
    check_same_losses(framework[:2], bare[:2], "in the first steps")
    return {"first_step": differences[0], "after_first_update": differences[:2][-1], "whole_epoch": max(differences)}
