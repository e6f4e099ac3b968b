"""Train with Lightning as ``interestlab fit`` does."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from interestlab.training.callbacks.cost import Cost
from interestlab.training.callbacks.run_folder import RunFolder
from interestlab.training.loggers import create_loggers


def make_trainer(run_dir: Path, callback: Callback, seed: int, accelerator: str, **options: Any) -> Trainer:
    """Return a trainer with the logger and callbacks of ``interestlab fit``, without validation and checkpoints.

    Args:
        run_dir: folder of the run.
        callback: the benchmark's own callback, called after those of a run.
        seed: seed that the run folder records.
        accelerator: ``auto``, ``cpu`` or ``gpu``.
        options: further arguments of the trainer.
    """
    return Trainer(
        accelerator=accelerator,
        devices=1,
        default_root_dir=run_dir,
        logger=create_loggers(["jsonl"], run_dir),
        callbacks=[RunFolder(run_dir, "{}", seed), Cost(run_dir), callback],
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        **options,
    )
