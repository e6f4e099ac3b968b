"""One folder a run: what it was told, what it ran on, what it measured."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import polars as pl
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Table

from interestlab.training.lightning_module import InterestModel
from interestlab.training.run_state import is_fast_dev_run
from interestlab.utils.atomic_files import atomic_write, write_text_atomic
from interestlab.utils.versions import run_versions


class RunFolder(Callback):
    """Keeps ``config.yaml``, ``versions.json``, ``metrics.json`` and the Parquet files of a run.

    Args:
        folder: of the run.
        config: the resolved config, as YAML.
        seed: the run was seeded with.
    """

    def __init__(self, folder: Path, config: str, seed: int) -> None:
        self.folder, self.config, self.seed = folder, config, seed
        self.predictions: list[tuple[torch.Tensor, ...]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.folder = trainer.strategy.broadcast(self.folder)
        if stage == "fit" and trainer.is_global_zero and not is_fast_dev_run(trainer):
            self.begin(trainer, pl_module)

    def begin(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write down what the run was told and what it runs on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(self.folder / "config.yaml", self.config)
        write_text_atomic(self.folder / "versions.json", json.dumps(run_versions(), indent=1))
        trainable = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        for logger in trainer.loggers:
            logger.log_hyperparams(yaml.safe_load(self.config) | {"trainable_parameters": trainable})

    # ---- what was measured

    def fingerprint(self, trainer: Trainer) -> dict[str, Any]:
        """What the run's numbers must be told with."""
        return cast(Any, trainer).datamodule.fingerprint | {"seed": self.seed}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["fingerprint"] = self.fingerprint(trainer)

    def told(self, trainer: Trainer, part: str) -> dict[str, float]:
        """The metrics of one part, printed with their intervals and fingerprint."""
        measured = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith(part)}
        model = cast(InterestModel, trainer.lightning_module)
        tell(measured, model.intervals, model.popularity if part == "test/" else {}, self.fingerprint(trainer))
        return measured

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and trainer.validating:
            self.told(trainer, "val/")

    @rank_zero_only
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model, data = cast(InterestModel, pl_module), cast(Any, trainer).datamodule
        measured = self.told(trainer, "test/")
        if is_fast_dev_run(trainer):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        intervals = {f"{k}/ci95": list(v) for k, v in model.intervals.items()}
        told = {"fingerprint": self.fingerprint(trainer)} | measured | intervals | {"popularity": model.popularity}
        write_text_atomic(self.folder / "metrics.json", json.dumps(told, indent=1, ensure_ascii=False))
        places = model.ranks.gather()
        ranks = pl.DataFrame(
            {
                "user_id": data.log.users.gather(places.users.numpy()),
                "item_id": data.log.items["item_id"].gather(places.targets.numpy()),
                "rank": (places.num_higher + 1).numpy(),
                "tied": places.num_tied.numpy(),
            }
        )
        with atomic_write(self.folder / "ranks.parquet", "wb") as file:
            ranks.write_parquet(file)
        Console(stderr=True).print(f"the run is in {self.folder}")

    # ---- predictions

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.predictions.append(tuple(t.cpu() for t in outputs))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        log = cast(Any, trainer).datamodule.log
        users, items, scores = (torch.cat(t) for t in zip(*self.predictions, strict=True))
        k = items.shape[1]
        frame = pl.DataFrame(
            {
                "user_id": log.users.gather(users.repeat_interleave(k).numpy()),
                "rank": torch.arange(1, k + 1).repeat(len(users)).numpy(),
                "item_id": log.items["item_id"].gather(items.flatten().numpy()),
                "score": scores.flatten().numpy(),
            }
        ).filter(pl.col("score").is_finite())
        self.folder.mkdir(parents=True, exist_ok=True)
        parts = [f"predictions-{rank}.parquet" for rank in range(trainer.world_size)]
        names = parts if len(parts) > 1 else ["predictions.parquet"]
        name = names[trainer.global_rank]
        with atomic_write(self.folder / name, "wb") as file:
            frame.sort("user_id", "rank").write_parquet(file)
        if trainer.is_global_zero:
            written = {self.folder / "predictions.parquet", *self.folder.glob("predictions-[0-9]*.parquet")}
            for stale in written - {self.folder / part for part in names}:
                stale.unlink(missing_ok=True)  # of another number of processes
        Console(stderr=True).print(f"{frame.height:,} predictions are in {self.folder / name}")


def tell(
    measured: dict[str, float],
    intervals: Mapping[str, tuple[float, float]],
    popularity: Mapping[str, float],
    fingerprint: dict[str, Any],
) -> None:
    """Print metrics with their intervals, those of ranking by popularity, and the fingerprint that they can be compared by."""
    table = Table("metric", "mean over users", "95% interval", caption=" · ".join(f"{k}={v}" for k, v in fingerprint.items()))
    if popularity:
        table.add_column("popularity")
    for name, value in sorted(measured.items()):
        low, high = intervals.get(name, (float("nan"),) * 2)
        table.add_row(
            name,
            f"{value:.4f}",
            f"{low:.4f} to {high:.4f}",
            *([f"{popularity[name]:.4f}" if name in popularity else ""] if popularity else []),
        )
    Console().print(table)
