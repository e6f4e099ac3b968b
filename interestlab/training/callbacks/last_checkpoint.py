"""``last.ckpt``: the checkpoint from which a killed run resumes."""

import logging
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

from interestlab.training.callbacks.resume_position import move_to_step_boundary, resume_position
from interestlab.training.run_state import is_fast_dev_run

log = logging.getLogger(__name__)

SAVE, STOP = 1, 2
"""What a process requests before a step: write a checkpoint, or write one and end the training."""


class LastCheckpoint(Callback):
    """Write ``last.ckpt`` at the start of each epoch, after each validation, after some minutes, and on SIGTERM.

    It is written just before a training step, when everything before is done and logged, so that nothing is done twice.

    Args:
        folder: folder of the checkpoints.
        minutes: longest time between two checkpoints, not counting the length of a step or a validation.
        resume_command: command that resumes the run, for the message after SIGTERM.
    """

    def __init__(self, folder: str, minutes: float, resume_command: str) -> None:
        self.path, self.minutes, self.resume_command = f"{folder}/last.ckpt", minutes, resume_command
        self.due, self.stopping, self.saved_at = False, False, 0.0
        self.handler: Any = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.path = trainer.strategy.broadcast(self.path)

    # ---- when to save

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fit_loop.is_resuming:
            resume_position(trainer)
        self.saved_at = time.monotonic()
        # Lightning's own handler ends the training in the middle of the work between two steps.
        if threading.current_thread() is threading.main_thread():
            self.handler = signal.signal(signal.SIGTERM, lambda *_: setattr(self, "stopping", True))

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.due = True

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if is_fast_dev_run(trainer) or batch_idx % trainer.accumulate_grad_batches:
            return
        request = self.request(trainer)
        if request or self.due or batch_idx == 0:
            self.save(trainer)
        if request == STOP:
            self.stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.handler is not None:
            signal.signal(signal.SIGTERM, self.handler)
        if not is_fast_dev_run(trainer):
            self.save(trainer)
        if self.request(trainer) == STOP:
            self.stop(trainer)

    def request(self, trainer: Trainer) -> int:
        """Return the strongest request of all processes: :data:`STOP`, :data:`SAVE` or 0.

        Args:
            trainer: trainer of the run.
        """
        is_late = time.monotonic() - self.saved_at > 60 * self.minutes
        request = STOP if self.stopping else SAVE if is_late else 0
        if trainer.world_size == 1:
            return request
        return int(trainer.strategy.reduce(torch.tensor(request, device=trainer.strategy.root_device), reduce_op="max"))

    # ---- what to save

    def save(self, trainer: Trainer) -> None:
        """Write the checkpoint.

        Args:
            trainer: trainer of the run.
        """
        trainer.save_checkpoint(self.path, weights_only=False)
        self.due, self.saved_at = False, time.monotonic()
        log.debug(f"{self.path} written at epoch {trainer.current_epoch}, step {trainer.global_step}")

    def stop(self, trainer: Trainer) -> None:
        """Exit with the status of a process that SIGTERM ended.

        Args:
            trainer: trainer of the run.

        Raises:
            SystemExit: always, with 143.
        """
        if trainer.is_global_zero:
            position = f"epoch {trainer.current_epoch}, step {trainer.global_step}"
            print(f"interestlab: stopped by SIGTERM at {position}; resume with `{self.resume_command}`.", file=sys.stderr)
        raise SystemExit(128 + signal.SIGTERM)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        move_to_step_boundary(checkpoint, trainer.accumulate_grad_batches)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        for callback in trainer.checkpoint_callbacks:
            folder = getattr(callback, "dirpath", None)
            state = checkpoint["callbacks"].get(callback.state_key)
            if folder and state and Path(str(trainer.ckpt_path)).resolve().parent == Path(folder):
                checkpoint["callbacks"][callback.state_key] = with_folder(state, folder)
        for stopping in trainer.early_stopping_callbacks:
            if state := checkpoint["callbacks"].get(stopping.state_key):
                state["patience"] = stopping.patience  # options win over the checkpoint, as everywhere
                reason = EarlyStoppingReason(state["stopping_reason"])
                has_patience = reason is EarlyStoppingReason.PATIENCE_EXHAUSTED and state["wait_count"] < stopping.patience
                is_over = reason is not EarlyStoppingReason.NOT_STOPPED and not has_patience
                trainer.should_stop = trainer.should_stop or is_over


def with_folder(state: Any, folder: str) -> Any:
    """Return the state of a ModelCheckpoint with the current folder: if it differs, Lightning drops the best score.

    Args:
        state: the saved state of this callback, whose ``dirpath`` is the folder when it was written.
        folder: current folder.
    """
    old = state["dirpath"]

    def replace(value: Any) -> Any:
        if isinstance(value, dict):
            return {replace(key): replace(item) for key, item in value.items()}
        return folder + value.removeprefix(old) if isinstance(value, str) and f"{value}/".startswith(f"{old}/") else value

    return replace(state)


@rank_zero_only
def remove_partial_checkpoints(folder: Path) -> None:
    """Remove checkpoints that a kill left half written; a run writes every other file again, under the same name.

    Args:
        folder: folder of the checkpoints.
    """
    for part in folder.glob(".*.ckpt.part"):
        part.unlink(missing_ok=True)
