"""Train with a table that becomes stale, and compare gradients on the way."""

import argparse
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.progress import track
from torch import Tensor

from benchmarks.finetuning_cost.framework import make_model
from benchmarks.harness.data import log_source
from benchmarks.harness.provenance import describe_machine
from benchmarks.harness.reference import MAX_HISTORY
from benchmarks.harness.training import make_trainer
from interestlab.batch import Batch
from interestlab.data.datamodule import InterestData
from interestlab.model.amortized import Amortization, StepPosition
from interestlab.training.lightning_module import InterestModel


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure everything.

    Args:
        options: the command line.
        folder: for the cache and the run; empty.

    Returns:
        the results, as they are written to JSON.
    """
    data = InterestData(
        source=log_source(options),
        max_history=MAX_HISTORY,
        batch_events=options.batch_events,
        cache_dir=str(folder / "cache"),
        seed=options.seed,
    )
    model = make_model(options.method, options, data, Amortization(options.share, refresh="start"))
    callback = MeasureGradients(options)
    trainer = make_trainer(
        folder / "run",
        callback,
        options.seed,
        options.accelerator,
        max_steps=max(options.steps),
        max_epochs=-1,
        log_every_n_steps=10,
        enable_progress_bar=False,
    )
    trainer.fit(model, datamodule=data)
    return {
        "log": {k: data.log.meta[k] for k in ("source", "users", "items", "events")},
        "settings": {k: getattr(options, k) for k in ("method", "share", "samples", "batch_events", "max_length", "seed")},
        "steps": callback.measurements,
        "machine": describe_machine(model.device),
    }


class MeasureGradients(Callback):
    """Compares gradients after some training steps.

    Args:
        options: the command line.

    Attributes:
        measurements: results after each number of steps.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.measurements: list[dict[str, float]] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if trainer.global_step not in self.options.steps:
            return
        model, step = cast(InterestModel, pl_module), trainer.global_step
        model.eval()  # without dropout
        exact = encoder_gradient(model, batch)
        amortized = model.backbone.amortized
        model.backbone.training = True  # reads the tables
        stale = amortized.state_dict(step, is_epoch_start=False)
        model.refresh_tables(list(amortized.tables.values()))
        refreshed = amortized.state_dict(step, is_epoch_start=False)
        gradients: dict[str, list[Tensor]] = {"stale": [], "refreshed": []}
        for sample in track(range(self.options.samples), f"after {step} steps", transient=True):
            for name, state in (("refreshed", refreshed), ("stale", stale)):
                amortized.load_state_dict(state)
                amortized.start_step(StepPosition(self.options.seed + sample, trainer.current_epoch, batch_idx, step))
                gradients[name].append(encoder_gradient(model, batch))
        age = amortized.metrics()["staleness"]
        amortized.load_state_dict(stale)
        model.train()
        from_stale, from_refreshed = (torch.stack(gradients[name]) for name in ("stale", "refreshed"))
        norm = exact.norm()
        self.measurements.append(
            {
                "step": step,
                "age": age,
                "bias": float(norm_of_mean(from_stale - from_refreshed) / norm),
                "bias_error": float(error_of_mean(from_stale - from_refreshed) / norm),
                "bias_refreshed": float(norm_of_mean(from_refreshed - exact) / norm),
                "bias_refreshed_error": float(error_of_mean(from_refreshed - exact) / norm),
                "noise": float((from_refreshed - exact).square().sum(1).mean().sqrt() / norm),
            }
        )


def encoder_gradient(model: InterestModel, batch: Batch) -> Tensor:
    """Return ``[P]`` the gradient of the loss with respect to the trained weights of the encoders."""
    weights = [p for p in model.backbone.encoders.parameters() if p.requires_grad]
    return torch.cat([g.flatten() for g in torch.autograd.grad(model.make_step(batch).loss, weights)])


def norm_of_mean(samples: Tensor) -> Tensor:
    """Estimate the norm of the expectation of vectors.

    The inner products of different samples have the squared norm as their expectation, without the variance of the samples.

    Args:
        samples: ``[R, P]`` independent samples.

    Returns:
        Scalar; 0 if the estimate of the square is negative.
    """
    count = len(samples)
    squared = (samples.sum(0).square().sum() - samples.square().sum()) / (count * (count - 1))
    return squared.clamp_min(0).sqrt()


def error_of_mean(samples: Tensor) -> Tensor:
    """Return the root mean square distance of the mean of samples from their expectation, a scalar.

    Args:
        samples: ``[R, P]`` independent samples.
    """
    return (samples.var(0).sum() / len(samples)).sqrt()
