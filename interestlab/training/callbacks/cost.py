"""Record the cost of training in ``cost.json``, and its speed and memory in the metrics of each epoch."""

import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from interestlab.training.run_state import is_fast_dev_run
from interestlab.utils.atomic_files import write_text_atomic


class Cost(Callback):
    """Measure training, without the validation inside an epoch, over all parts of a resumed run.

    Args:
        folder: folder of the run, in the first process.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.targets, self.seconds, self.started = torch.zeros((), dtype=torch.int64), 0.0, 0.0
        self.epochs: list[float] = []
        self.prepared = 0.0

    def state_dict(self) -> dict[str, Any]:
        running = time.perf_counter() - self.started
        return {
            "epochs": self.epochs,
            "seconds": self.seconds + running,
            "targets": int(self.targets),
            "prepared": self.prepared,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs, self.seconds, self.prepared = (state_dict[k] for k in ("epochs", "seconds", "prepared"))
        self.targets = torch.tensor(state_dict["targets"])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        now = time.perf_counter()
        self.prepared = self.prepared or now - self.started
        self.targets, self.started = self.targets.to(pl_module.device), now

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.targets, self.seconds, self.started = self.targets.to(pl_module.device) * 0, 0.0, time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.targets += (batch.targets >= 0).sum()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.seconds += time.perf_counter() - self.started

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seconds = self.seconds + time.perf_counter() - self.started
        pl_module.log("train/targets_per_second", self.targets.item() * trainer.world_size / seconds)
        pl_module.log("train/peak_memory_mb", peak_memory())
        self.epochs.append(seconds)

    @rank_zero_only
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if is_fast_dev_run(trainer) or not self.epochs:
            return
        sizes = {flag: sum(p.numel() for p in pl_module.parameters() if p.requires_grad == flag) for flag in (True, False)}
        cost = {
            "trainable_parameters": sizes[True],
            "parameters": sizes[True] + sizes[False],
            "epochs": len(self.epochs),
            "steps": trainer.global_step,
            "seconds_before": self.prepared,
            "seconds": sum(self.epochs),
            "seconds_per_epoch": statistics.median(self.epochs),
            "peak_memory_mb": peak_memory(),
            "processes": trainer.world_size,
            "device": pl_module.device.type,
        }
        write_text_atomic(self.folder / "cost.json", json.dumps(cost, indent=1))


def peak_memory() -> float:
    """Return the peak memory of this process in MiB: of the GPU if there is one, otherwise of the machine."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    import resource
    import sys

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
