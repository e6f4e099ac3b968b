"""Write the folder of a run: its config, versions, metrics and predictions."""

import json
import logging
from pathlib import Path
from typing import Any, cast

import polars as pl
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from interestlab.baselines.tables import group_table, metrics_table
from interestlab.training.lightning_module import InterestModel
from interestlab.training.run_state import is_fast_dev_run
from interestlab.training.warm_start import write_id_maps
from interestlab.utils.atomic_files import atomic_write, write_text_atomic
from interestlab.utils.versions import run_versions

log = logging.getLogger(__name__)


class RunFolder(Callback):
    """Write ``config.yaml``, ``versions.json``, ``metrics.json`` and the Parquet files of a run.

    Args:
        folder: folder of the run.
        config: resolved config, as YAML.
        seed: seed of the run.
        recipe: label of the recipe that the run started with.
    """

    def __init__(self, folder: Path, config: str, seed: int, recipe: str | None = None) -> None:
        self.folder, self.config, self.seed, self.recipe = folder, config, seed, recipe
        self.predictions: list[tuple[torch.Tensor, ...]] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.folder = trainer.strategy.broadcast(self.folder)
        if stage == "fit" and trainer.is_global_zero and not is_fast_dev_run(trainer):
            self.write_settings(trainer, pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and not is_fast_dev_run(trainer):
            write_id_maps(cast(InterestModel, pl_module).backbone, self.folder)

    def write_settings(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the config of the run and the versions that it runs with.

        Args:
            trainer: trainer of the run.
            pl_module: the model.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text_atomic(self.folder / "config.yaml", self.config)
        file = self.folder / "versions.json"
        if self.recipe is None and file.is_file():  # a resumed run takes its options from its config
            self.recipe = json.loads(file.read_text("utf-8")).get("recipe")
        recipe = {"recipe": self.recipe} if self.recipe else {}
        write_text_atomic(file, json.dumps(run_versions() | recipe, indent=1))
        trainable = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        for logger in trainer.loggers:
            logger.log_hyperparams(yaml.safe_load(self.config) | {"trainable_parameters": trainable} | recipe)

    # ---- metrics

    def fingerprint(self, trainer: Trainer) -> dict[str, Any]:
        """Return the settings that decide whether the metrics of two runs can be compared.

        Args:
            trainer: trainer of the run.
        """
        return cast(Any, trainer).datamodule.fingerprint | {"seed": self.seed}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["fingerprint"] = self.fingerprint(trainer)

    def print_and_return(self, trainer: Trainer, prefix: str) -> dict[str, float]:
        """Print the metrics of one split, and return them.

        Args:
            trainer: trainer of the run.
            prefix: prefix of the metric names, ``val/`` or ``test/``.
        """
        measured = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith(prefix)}
        model, console = cast(InterestModel, trainer.lightning_module), Console()
        baselines = model.baselines if prefix == "test/" else {}
        console.print(metrics_table(measured, model.summary.intervals, baselines, self.fingerprint(trainer), prefix))
        if model.summary.group_users:
            console.print(group_table({"model": model.summary, **baselines}))
        return measured

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        if trainer.state.fn == TrainerFn.VALIDATING:
            self.print_and_return(trainer, "val/")
        elif (metric := getattr(trainer.checkpoint_callback, "monitor", None)) in trainer.callback_metrics:
            log.info(f"epoch {trainer.current_epoch}: {metric} {trainer.callback_metrics[metric]:.4f}")

    @rank_zero_only
    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model, data = cast(InterestModel, pl_module), cast(Any, trainer).datamodule
        measured = self.print_and_return(trainer, "test/")
        if is_fast_dev_run(trainer):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        baselines = {name: summary.as_json("test/") for name, summary in model.baselines.items()}
        further = model.summary.intervals_and_users_as_json("test/") | {"baselines": baselines}
        content = {"fingerprint": self.fingerprint(trainer)} | measured | further
        write_text_atomic(self.folder / "metrics.json", json.dumps(content, indent=1, ensure_ascii=False))
        gathered = model.ranks.gather()
        targets = gathered.targets.numpy()
        ranks = pl.DataFrame(
            {
                "user_id": data.log.users.gather(gathered.users.numpy()),
                "item_id": data.log.items["item_id"].gather(targets),
                "rank": (gathered.num_higher + 1).numpy(),
                "tied": gathered.num_tied.numpy(),
                "target_count": data.log.counts[targets],
            }
        )
        with atomic_write(self.folder / "ranks.parquet", "wb") as file:
            ranks.write_parquet(file)
        log.info(f"the run is in {self.folder}")

    # ---- predictions

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.predictions.append(tuple(t.cpu() for t in outputs))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = cast(Any, trainer).datamodule
        users, items, scores = (torch.cat(t) for t in zip(*self.predictions, strict=True))
        k = items.shape[1]
        frame = pl.DataFrame(
            {
                "user_id": data.log.users.gather(users.repeat_interleave(k).numpy()),
                "rank": torch.arange(1, k + 1).repeat(len(users)).numpy(),
                "item_id": data.catalogue["item_id"].gather(items.flatten().numpy()),
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
                stale.unlink(missing_ok=True)  # of an earlier job with another number of processes
        log.info(f"{frame.height:,} predictions are in {self.folder / name}")
