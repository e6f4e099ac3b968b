"""``last.ckpt``: where a run that was killed goes on."""

import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from interestlab.training.callbacks.resume_position import go_on, settle
from interestlab.training.loggers.curve import Curve
from interestlab.training.run_state import is_fast_dev_run

LATE, STOP = 1, 2
"""What a process wishes before a step: that a checkpoint be made, or that the training end with one."""


class LastCheckpoint(Callback):
    """Keeps ``last.ckpt`` where the training is: at each start of an epoch, after each validation, by time, and on SIGTERM.

    It is made just before a step, when all that went before is over and logged, so that whatever comes after is done once.

    Args:
        folder: of the checkpoints.
        minutes: between two checkpoints at most, but for the length of a step or a validation.
        resume: the command that goes on from the checkpoint.
    """

    def __init__(self, folder: str, minutes: float, resume: str) -> None:
        self.path, self.minutes, self.resume = f"{folder}/last.ckpt", minutes, resume
        self.due, self.stopping, self.saved = False, False, 0.0
        self.handler: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.path = trainer.strategy.broadcast(self.path)

    # ---- when

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fit_loop.is_resuming:
            go_on(trainer)
        self.saved = time.monotonic()
        # Lightning's own handler ends the training in the middle of what has to be done between two steps.
        if threading.current_thread() is threading.main_thread():
            self.handler = signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopping", True))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.due = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if is_fast_dev_run(trainer) or batch_idx % trainer.accumulate_grad_batches:
            return
        wish = self.wish(trainer)
        if wish or self.due or batch_idx == 0:
            self.save(trainer)
        if wish == STOP:
            self.stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.handler is not None:
            signal.signal(signal.SIGTERM, self.handler)
        if not is_fast_dev_run(trainer):
            self.save(trainer)
        if self.wish(trainer) == STOP:
            self.stop(trainer)

    def wish(self, trainer: Trainer) -> int:
        """What the processes wish, by the one that wishes most."""
        wish = STOP if self.stopping else LATE if time.monotonic() - self.saved > 60 * self.minutes else 0
        if trainer.world_size == 1:
            return wish
        told = torch.tensor(wish, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(told, reduce_op="max"))

    # ---- what

    def save(self, trainer: Trainer) -> None:
        """Write the checkpoint."""
        trainer.save_checkpoint(self.path, weights_only=False)
        self.due, self.saved = False, time.monotonic()

    def stop(self, trainer: Trainer) -> None:
        """Leave as a process does that SIGTERM ended.

        Raises:
            SystemExit: always, with 143.
        """
        if trainer.is_global_zero:
            where = f"epoch {trainer.current_epoch}, step {trainer.global_step}"
            print(f"interestlab: stopped by SIGTERM at {where}; `{self.resume}` goes on from there.", file=sys.stderr)
        raise SystemExit(128 + signal.SIGTERM)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        settle(checkpoint, trainer.accumulate_grad_batches)
        for logger in trainer.loggers:
            if isinstance(logger, Curve):
                checkpoint["rows"] = logger.rows

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        for logger in trainer.loggers:
            # One of an earlier version, or of a run without a curve, does not say how many there were: all are kept.
            if isinstance(logger, Curve):
                logger.keep(checkpoint.get("rows"))
        for callback in trainer.checkpoint_callbacks:
            folder = getattr(callback, "dirpath", None)
            held = checkpoint["callbacks"].get(callback.state_key)
            if folder and held and Path(str(trainer.ckpt_path)).resolve().parent == Path(folder):
                checkpoint["callbacks"][callback.state_key] = moved(held, folder)
        for stopping in trainer.early_stopping_callbacks:
            if held := checkpoint["callbacks"].get(stopping.state_key):
                held["patience"] = stopping.patience  # what is typed wins, as everywhere
                reason = EarlyStoppingReason(held["stopping_reason"])
                patient = reason is EarlyStoppingReason.PATIENCE_EXHAUSTED and held["wait_count"] < stopping.patience
                over = reason is not EarlyStoppingReason.NOT_STOPPED and not patient
                trainer.should_stop = trainer.should_stop or over


def moved(state: Any, folder: str) -> Any:
    """What a ModelCheckpoint kept, of the place where its folder is now: of another folder it would forget what was best."""
    old = state["dirpath"]

    def here(value: Any) -> Any:
        if isinstance(value, dict):
            return {here(key): here(kept) for key, kept in value.items()}
        return folder + value.removeprefix(old) if isinstance(value, str) and f"{value}/".startswith(f"{old}/") else value

    return here(state)


@rank_zero_only
def forget_parts(folder: Path) -> None:
    """Remove what a kill in the middle of writing a checkpoint left; a run writes every other file again, by the same name."""
    for part in folder.glob(".*.ckpt.part"):
        part.unlink(missing_ok=True)
