"""Train a method with interestlab, one batch per turn."""

import argparse
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything

from benchmarks.finetuning_cost.data import SampledBatches
from benchmarks.finetuning_cost.methods import AMORTISED, FIELD, FRAMEWORK_METHODS
from benchmarks.harness.memory import release_free_memory
from benchmarks.harness.reference import DIM, LEARNING_RATE, TEMPERATURE, transformer
from benchmarks.harness.timing import Stopwatch
from benchmarks.harness.training import make_trainer
from interestlab import encoders, objectives
from interestlab.contract import Encoder
from interestlab.data.datamodule import InterestData
from interestlab.model.amortized import Amortization, VectorTable
from interestlab.model.chunking import EncoderChunking
from interestlab.training.lightning_module import InterestModel
from interestlab.training.optimizers import Optim


def make_model(
    method: str, options: argparse.Namespace, data: InterestData, amortize: Amortization | None = None
) -> InterestModel:
    """Return the model of a method, with newly drawn weights.

    Args:
        method: name of the method.
        options: the command line.
        data: the log.
        amortize: how many titles are encoded with gradient; None: as the name of the method says.
    """
    if amortize is None:
        is_amortised = method.endswith(AMORTISED)
        amortize = Amortization(options.share, options.schedule, options.refresh) if is_amortised else Amortization()
    encoder, arguments = FRAMEWORK_METHODS[method.removesuffix(AMORTISED)]
    seed_everything(options.seed, verbose=False)
    return InterestModel(
        encoder=cast(Encoder, getattr(encoders, encoder)(fields=[FIELD], max_length=options.max_length, **arguments)),
        dynamics=transformer(),
        objective=objectives.next_item(candidates="batch", temperature=TEMPERATURE),
        cardinalities=data.cardinalities,
        dim=DIM,
        similarity="cosine",
        optim=Optim(lr=LEARNING_RATE),
        chunking=EncoderChunking(options.max_tokens, options.chunks_with_activations),
        amortize=amortize,
    )


def train(
    model: InterestModel,
    data: SampledBatches,
    callback: Callback,
    options: argparse.Namespace,
    run_dir: Path,
    precision: Any = "32-true",
) -> None:
    """Train on the sampled batches, as ``interestlab fit`` does."""
    trainer = make_trainer(
        run_dir,
        callback,
        options.seed,
        options.accelerator,
        max_epochs=1,
        enable_progress_bar=False,
        log_every_n_steps=10,
        precision=precision,
    )
    trainer.fit(model, datamodule=data)


class WaitForTurn(Callback):
    """Waits before each step until the measuring process asks for it, and sends the seconds of the step.

    Args:
        connection: to the measuring process.
        clock: name of the clock.

    Attributes:
        refresh_seconds: seconds in which the tables of amortised encoding were refreshed.
    """

    def __init__(self, connection: Connection, clock: str) -> None:
        self.connection, self.clock, self.refresh_seconds = connection, clock, 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stopwatch = Stopwatch(self.clock, pl_module.device)
        start = self.stopwatch.now()
        for cache in cast(InterestModel, pl_module).backbone.caches.values():
            cache.fill()
        self.once_seconds = self.stopwatch.now() - start

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._time_refreshing(cast(InterestModel, pl_module))
        trained = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        self.connection.send({"once_seconds": self.once_seconds, "device": str(pl_module.device), "trained": trained})
        self.connection.recv()
        self.start = self.stopwatch.now()

    def _time_refreshing(self, model: InterestModel) -> None:
        refresh_tables = model.refresh_tables

        def refresh(tables: list[VectorTable]) -> None:
            start = self.stopwatch.now()
            refresh_tables(tables)
            self.refresh_seconds += self.stopwatch.now() - start

        vars(model)["refresh_tables"] = refresh

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        seconds = self.stopwatch.now() - self.start
        release_free_memory()
        self.connection.send((seconds, float(outputs["loss"])))
        if batch_idx + 1 < trainer.num_training_batches:
            self.connection.recv()
        self.start = self.stopwatch.now()
