"""Measure throughput, padding, start and memory in one run."""

import argparse
import gc
import statistics
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
from lightning.pytorch import seed_everything
from rich.progress import Progress

from benchmarks.harness.data import log_source
from benchmarks.harness.provenance import describe_machine
from benchmarks.harness.reference import DIM, LEARNING_RATE, MAX_HISTORY, TEMPERATURE, transformer
from benchmarks.harness.timing import paired_ratios, summarize
from benchmarks.harness.training import make_trainer
from benchmarks.overhead.bare_loop import BareLoop
from benchmarks.overhead.turns import AlternateEpochs
from interestlab import encoders, objectives
from interestlab.contract import Encoder
from interestlab.data.datamodule import InterestData
from interestlab.training.callbacks.cost import peak_memory
from interestlab.training.lightning_module import InterestModel
from interestlab.training.optimizers import Optim

RATIO_GOAL, PADDING_GOAL = 0.85, 0.10
"""Framework / bare is to be at least the first, and the share of padding below the second."""


def measure(options: argparse.Namespace, folder: Path, progress: Progress) -> dict[str, Any]:
    """Measure everything.

    Args:
        options: the command line.
        folder: for the cache and the run; empty.
        progress: shows the stages and steps.

    Returns:
        the results, as they are written to JSON.
    """
    memory = {"imported": peak_memory()}
    task = progress.add_task("cold start", total=None)
    data, cold_seconds = load_first_batch(options, folder / "cache")
    memory["cold_start"] = peak_memory()
    progress.update(task, description="second start")
    data, second_seconds = load_first_batch(options, folder / "cache")
    progress.remove_task(task)

    bare_loop = BareLoop(data, progress, options.clock)
    batches = describe_batches(bare_loop)
    turns = AlternateEpochs(bare_loop, progress)
    train(options, data, turns, folder / "run")
    memory["trained"] = peak_memory()

    framework, bare = turns.framework_seconds[1:], turns.bare_seconds[1:]
    extra_seconds = statistics.median(ours - other for ours, other in zip(framework, bare, strict=True))
    settings = {"dim": DIM, "max_history": MAX_HISTORY}
    return {
        "log": {k: data.log.meta[k] for k in ("source", "users", "items", "events")},
        "settings": settings | {k: getattr(options, k) for k in ("batch_events", "epochs", "bar", "clock")},
        "ratio": summarize(paired_ratios(bare, framework)) | {"goal": RATIO_GOAL},
        "targets_per_second": {
            "framework": batches["targets"] / statistics.median(framework),
            "bare": batches["targets"] / statistics.median(bare),
        },
        "epoch_seconds": {"framework": turns.framework_seconds, "bare": turns.bare_seconds},
        "milliseconds_a_step_over_bare": 1e3 * extra_seconds / batches["steps"],
        "loss_difference": turns.loss_differences,
        "batches": batches | {"goal": PADDING_GOAL},
        "start_seconds": {"cold": cold_seconds, "second": second_seconds},
        "peak_memory_mb": memory,
        "machine": describe_machine(bare_loop.device),
    }


def train(options: argparse.Namespace, data: InterestData, turns: AlternateEpochs, run_dir: Path) -> None:
    """Train the framework's model, and the bare loop in turns with it."""
    seed_everything(options.seed, verbose=False)
    model = InterestModel(
        encoder=cast(Encoder, encoders.id()),
        dynamics=transformer(),
        objective=objectives.next_item(temperature=TEMPERATURE),
        cardinalities=data.cardinalities,
        dim=DIM,
        similarity="cosine",
        optim=Optim(lr=LEARNING_RATE),
    )
    limits = {"max_epochs": 1 + options.epochs, "enable_progress_bar": options.bar}
    trainer = make_trainer(run_dir, turns, options.seed, options.accelerator, **limits)
    gc.collect()
    trainer.fit(model, datamodule=data)


def load_first_batch(options: argparse.Namespace, cache_dir: Path) -> tuple[InterestData, float]:
    """Prepare the data up to the first batch.

    Returns:
        the data, and the seconds that this took.
    """
    start = time.perf_counter()
    source = log_source(options)
    data = InterestData(source, max_history=MAX_HISTORY, batch_events=options.batch_events, cache_dir=str(cache_dir))
    data.feature(cast(Encoder, encoders.id()), "item.id")
    next(iter(data.train_dataloader()))
    return data, time.perf_counter() - start


def describe_batches(loop: BareLoop) -> dict[str, Any]:
    """Return padding and targets of the batches of one epoch, and the seconds to assemble them, which both loops spend."""
    start = time.perf_counter()
    shapes = [(b.mask.numel(), int(b.mask.sum()), int((b.targets >= 0).sum())) for b in loop.loader]
    seconds = time.perf_counter() - start
    cells, events, targets = np.array(shapes).T
    padding = 1 - events / cells
    quantiles = {"median": np.median(padding), "p95": np.quantile(padding, 0.95), "max": padding.max()}
    return {
        "steps": len(shapes),
        "targets": int(targets.sum()),
        "padding": float(1 - events.sum() / cells.sum()),
        "padding_of_batches": {name: float(value) for name, value in quantiles.items()},
        "assembling_seconds": seconds,
    }
