"""Validate after the last epoch."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class LastValidation(Callback):
    """Validate after the last epoch too, if ``check_val_every_n_epoch`` would leave it out.

    A run of fewer epochs than that would otherwise have no best checkpoint.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        is_last = trainer.current_epoch + 1 == trainer.max_epochs or 0 < trainer.max_steps <= trainer.global_step
        if is_last and trainer.check_val_every_n_epoch is not None:
            trainer.check_val_every_n_epoch = 1
