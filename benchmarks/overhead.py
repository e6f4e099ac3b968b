"""What the framework costs: targets a second of ``interestlab fit``'s training loop against a bare PyTorch loop.

Measured, in one run, for ``id`` + ``transformer`` + full cross-entropy (cosine, temperature 0.07, D=64):

- **throughput**: ``InterestModel`` and ``InterestData`` under a Lightning ``Trainer`` set up as ``fit`` does it (CSV
  logger, run folder, no distributed sampler) against a plain loop of the same transformer over an ``nn.Embedding``, with
  the same batches in the same order, loss function and AdamW. They take turns, epoch by epoch, after one warm-up epoch
  each, and the figure is the median of the ratios of neighbouring epochs: other work on the machine slows both alike.
  The framework's time is all of the time between the ends of two epochs, so Lightning's work between epochs counts.
  Validation and checkpoints are off, since the bare loop has none. ``--bar`` also counts Lightning's progress bar.
- **sameness**: the weights are copied over and both dropouts seeded; the losses of the first step and of the step after
  the first update must agree, or it is not the same model and the benchmark fails.
- **padding**: share of the training batches' events that is padding.
- **start**: seconds from nothing to the first batch, in a fresh cache and once more in the one that is now there. The
  libraries are imported by then, and the second start also finds the log's files in the disk cache.
- **memory**: peak of the process (of the GPU where there is one) after each stage; both models are in it.

As data grows: a cold start is about linear in the rows of the log, a second one only hashes the files. An epoch is linear
in the events × the items, since every target is told apart from the whole catalogue. Of the framework's own work, that of
a step (hooks, logging: about 2 ms on one core of a CPU) does not grow; looking up every item anew in each step is linear
in the items, as the loss is, but without the loss's factor of the targets of a batch. Memory is linear in the items
(weights, gradient and two moments, of both models).

    python benchmarks/overhead.py [--interactions FILE --items FILE] [--epochs 3] [--batch_events 2048] [--out results.json]
"""

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from interestlab import dynamics, encoders, objectives, sources
from interestlab.batch import Batch
from interestlab.contract import Dynamics, Encoder, Source
from interestlab.data.datamodule import InterestData
from interestlab.data.dataset import HistoryDataset, LengthBatches
from interestlab.training.callbacks.cost import Cost, peak_memory
from interestlab.training.callbacks.run_folder import RunFolder, versions
from interestlab.training.fit import hide_expected_messages
from interestlab.training.lightning_module import InterestModel
from interestlab.training.loggers import create_loggers
from interestlab.training.optimizers import Optim
from interestlab_objectives.chunked_cross_entropy import chunked_cross_entropy

RATIO, PADDING = 0.85, 0.10
"""The goals: framework / bare at least, and share of padding less than this."""
DIM, TEMPERATURE, LR, MAX_HISTORY = 64, 0.07, 1e-3, 50
TOLERANCE = 1e-4
"""Relative difference of two losses that counts as rounding."""


class Bare(nn.Module):
    """The same model, written by hand.

    Args:
        items: size of the catalogue.
        dynamics: the transformer.
    """

    def __init__(self, items: int, dynamics: Dynamics) -> None:
        super().__init__()
        self.embedding = nn.Embedding(items, DIM)
        self.dynamics = dynamics

    def forward(self, batch: Batch) -> Tensor:
        z = F.normalize(self.dynamics(self.embedding(batch.items), batch.dt, batch.mask), dim=-1)
        known = batch.targets >= 0
        catalogue = F.normalize(self.embedding.weight, dim=-1)
        return chunked_cross_entropy(z[known], catalogue, batch.targets[known], scale=1 / TEMPERATURE)


class BareLoop:
    """Epochs of :class:`Bare`, in plain PyTorch.

    Args:
        data: whose log and settings are used; the batches are drawn here.
        progress: shows the steps.
        seed: of the dropout.
    """

    def __init__(self, data: InterestData, progress: Progress, seed: int) -> None:
        dataset = HistoryDataset(data.log, "train", data.max_history, data.exclude_history)
        self.sampler = LengthBatches(dataset.lengths, data.batch_events, shuffle=True, seed=data.seed)
        self.pinned = torch.cuda.is_available()
        self.loader: DataLoader[Batch] = DataLoader(
            dataset, sampler=self.sampler, batch_size=None, pin_memory=self.pinned, num_workers=data.num_workers
        )
        self.progress, self.seed = progress, seed

    def start(self, model: InterestModel) -> None:
        """Take over the weights of the framework's model, before its first step."""
        with torch.no_grad():
            vectors = model.embed_items(np.arange(len(model.log_q)))  # in the order of the catalogue, not of the field
        self.device = model.device
        self.model = Bare(len(vectors), deepcopy(model.dynamics)).to(self.device).train()
        self.model.embedding.weight.data.copy_(vectors)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LR, weight_decay=0.0, fused=True)

    def epoch(self, epoch: int) -> tuple[float, list[Tensor]]:
        """Train for one epoch; its seconds, and the loss of each step."""
        self.sampler.set_epoch(epoch)
        task = self.progress.add_task(f"bare loop, {name_of(epoch)}", total=len(self.sampler))
        losses = []
        began = now(self.device)
        for step, cpu_batch in enumerate(self.loader):
            batch = Batch(*(t.to(self.device, non_blocking=True) for t in cpu_batch))
            if step == 0:
                torch.manual_seed(self.seed + epoch)
            self.optimizer.zero_grad()
            loss = self.model(batch)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.detach())
            self.progress.advance(task)
        seconds = now(self.device) - began
        self.progress.remove_task(task)
        return seconds, losses


class Turns(Callback):
    """Times each epoch of the trainer, and lets the bare loop run its own after it.

    Args:
        bare: the other loop.
        progress: shows the steps.
        seed: of the dropout.
    """

    def __init__(self, bare: BareLoop, progress: Progress, seed: int) -> None:
        self.bare, self.progress, self.seed = bare, progress, seed
        self.framework_seconds: list[float] = []
        self.bare_seconds: list[float] = []
        self.losses: list[Tensor] = []
        self.targets = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.bare.start(cast(InterestModel, pl_module))
        self.began = now(pl_module.device)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        name = f"framework, {name_of(trainer.current_epoch)}"
        self.task = self.progress.add_task(name, total=int(trainer.num_training_batches))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            torch.manual_seed(self.seed + trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(outputs["loss"])
        self.progress.advance(self.task)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.framework_seconds.append(now(pl_module.device) - self.began)
        self.progress.remove_task(self.task)
        seconds, losses = self.bare.epoch(trainer.current_epoch)
        self.bare_seconds.append(seconds)
        if trainer.current_epoch == 0:
            self.differences = agreement(torch.stack(self.losses).cpu(), torch.stack(losses).cpu())
        self.losses.clear()
        if trainer.current_epoch:
            ratio = seconds / self.framework_seconds[-1]
            self.progress.print(
                f"{name_of(trainer.current_epoch)}: framework {self.framework_seconds[-1]:.2f} s, bare {seconds:.2f} s, "
                f"ratio {ratio:.3f}"
            )
        self.began = now(pl_module.device)


def agreement(ours: Tensor, bare: Tensor) -> dict[str, float]:
    """Relative differences of the losses of two loops, step by step.

    Raises:
        SystemExit: the losses differ by more than rounding, so that the loops train two different models.
    """
    if len(ours) != len(bare):
        raise SystemExit(f"the framework took {len(ours)} steps in an epoch and the bare loop {len(bare)}")
    off = (ours - bare).abs() / bare.abs()
    second = min(1, len(off) - 1)
    if float(off[: second + 1].max()) > TOLERANCE:
        raise SystemExit(
            f"not the same model: the losses of the first steps are {ours[: second + 1].tolist()} in the framework and "
            f"{bare[: second + 1].tolist()} in the bare loop"
        )
    return {"first_step": float(off[0]), "after_first_update": float(off[second]), "whole_epoch": float(off.max())}


def name_of(epoch: int) -> str:
    return f"epoch {epoch}" if epoch else "warm-up"


def now(device: torch.device) -> float:
    """The time, when all work so far is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def source_of(args: argparse.Namespace) -> Source:
    if args.interactions:
        return cast(Source, sources.files(interactions=args.interactions, items=args.items))
    return cast(Source, sources.simulated(users=args.users, items=args.catalogue, events=20))


def start(args: argparse.Namespace, cache: Path) -> tuple[InterestData, float]:
    """The data up to the first batch, and the seconds it took."""
    began = time.perf_counter()
    data = InterestData(source_of(args), max_history=MAX_HISTORY, batch_events=args.batch_events, cache_dir=str(cache))
    data.feature(cast(Encoder, encoders.id()), "item.id")
    next(iter(data.train_dataloader()))
    return data, time.perf_counter() - began


def batches_of(loop: BareLoop) -> dict[str, Any]:
    """Padding and targets of the batches of one epoch, and the seconds that assembling them takes of either loop."""
    began = time.perf_counter()
    shapes = [(b.mask.numel(), int(b.mask.sum()), int((b.targets >= 0).sum())) for b in loop.loader]
    seconds = time.perf_counter() - began
    cells, events, targets = np.array(shapes).T
    shares = 1 - events / cells
    spread = {"median": np.median(shares), "p95": np.quantile(shares, 0.95), "max": shares.max()}
    return {
        "steps": len(shapes),
        "targets": int(targets.sum()),
        "padding": float(1 - events.sum() / cells.sum()),
        "padding_of_batches": {k: float(v) for k, v in spread.items()},
        "assembling_seconds": seconds,
    }


def measure(args: argparse.Namespace, folder: Path, progress: Progress) -> dict[str, Any]:
    """Run everything; the results, as they are written down."""
    memory = {"imported": peak_memory()}
    task = progress.add_task("cold start", total=None)
    data, cold = start(args, folder / "cache")
    memory["cold_start"] = peak_memory()
    progress.update(task, description="second start")
    data, again = start(args, folder / "cache")
    progress.remove_task(task)

    loop = BareLoop(data, progress, args.seed)
    batches = batches_of(loop)
    seed_everything(args.seed, verbose=False)
    model = InterestModel(
        encoder=cast(Encoder, encoders.id()),
        dynamics=cast(Dynamics, dynamics.transformer(dim=DIM, layers=2, heads=2, dropout=0.3, max_length=MAX_HISTORY)),
        objective=objectives.next_item(temperature=TEMPERATURE),
        cardinalities=data.cardinalities,
        dim=DIM,
        similarity="cosine",
        optim=Optim(lr=LR),
    )
    turns = Turns(loop, progress, args.seed)
    trainer = Trainer(
        accelerator=args.accelerator,
        devices=1,
        max_epochs=1 + args.epochs,
        default_root_dir=folder,
        logger=create_loggers(["jsonl"], folder / "run"),
        callbacks=[RunFolder(folder / "run", "{}", args.seed), Cost(folder / "run"), turns],
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=args.bar,
        enable_model_summary=False,
    )
    gc.collect()
    trainer.fit(model, datamodule=data)
    memory["trained"] = peak_memory()

    pairs = list(zip(turns.framework_seconds[1:], turns.bare_seconds[1:], strict=True))
    ratios = [bare / ours for ours, bare in pairs]
    meta, targets = data.log.meta, batches["targets"]
    return {
        "log": {k: meta[k] for k in ("source", "users", "items", "events")},
        "settings": {"dim": DIM, "max_history": MAX_HISTORY} | {k: getattr(args, k) for k in ("batch_events", "epochs", "bar")},
        "ratio": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "goal": RATIO},
        "targets_per_second": {
            "framework": targets / statistics.median(ours for ours, _ in pairs),
            "bare": targets / statistics.median(bare for _, bare in pairs),
        },
        "epoch_seconds": {"framework": turns.framework_seconds, "bare": turns.bare_seconds},
        "milliseconds_a_step_over_bare": 1e3 * statistics.median(ours - bare for ours, bare in pairs) / batches["steps"],
        "loss_difference": turns.differences,
        "batches": batches | {"goal": PADDING},
        "start_seconds": {"cold": cold, "second": again},
        "peak_memory_mb": memory,
        "machine": {"device": str(loop.device), "threads": torch.get_num_threads()} | versions(),
    }


def tell(told: dict[str, Any]) -> None:
    """Print the results as a table."""
    log, ratio, batches, memory = told["log"], told["ratio"], told["batches"], told["peak_memory_mb"]
    off, speed, padding = told["loss_difference"], told["targets_per_second"], batches["padding"]
    caption = " · ".join(f"{k} {v:,}" if isinstance(v, int) else str(v) for k, v in log.items())
    rows = {
        "framework / bare": (f"{ratio['median']:.3f}", f"median; {ratio['min']:.3f} to {ratio['max']:.3f}"),
        "": ("", verdict(ratio["median"] >= RATIO, f"at least {RATIO}")),
        "framework": (f"{speed['framework']:,.0f}", "targets a second"),
        "bare": (f"{speed['bare']:,.0f}", "targets a second"),
        "framework over bare": (f"{told['milliseconds_a_step_over_bare']:.2f} ms", "a step"),
        "assembling": (f"{1e3 * batches['assembling_seconds'] / batches['steps']:.2f} ms", "a batch, in both loops"),
        "loss, step 1": (f"{off['first_step']:.1e}", "relative difference"),
        "loss, step 2": (f"{off['after_first_update']:.1e}", f"whole epoch: at most {off['whole_epoch']:.1e}"),
        "padding": (f"{padding:.2%}", verdict(padding < PADDING, f"less than {PADDING:.0%}")),
        "padding, worst batch": (f"{batches['padding_of_batches']['max']:.2%}", f"of {batches['steps']:,} an epoch"),
        "cold start": (f"{told['start_seconds']['cold']:.2f} s", "to the first batch"),
        "second start": (f"{told['start_seconds']['second']:.2f} s", "to the first batch"),
        "peak memory": (f"{memory['trained']:,.0f} MiB", f"with both models; {memory['cold_start']:,.0f} before training"),
    }
    table = Table("measured", "value", "", caption=f"{caption} · {told['machine']['device']}")
    for name, (value, note) in rows.items():
        table.add_row(name, value, note)
    Console().print(table)


def verdict(met: bool, goal: str) -> str:
    return f"[green]goal {goal}: met[/]" if met else f"[red]goal {goal}: missed[/]"


def parse(argv: list[str]) -> argparse.Namespace:
    about, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=about, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", help="events, as the source `files` reads them; default: a simulated log")
    parser.add_argument("--items", help="items, as the source `files` reads them")
    parser.add_argument("--users", type=int, default=4_000, help="of the simulated log")
    parser.add_argument("--catalogue", type=int, default=4_000, help="items of the simulated log")
    parser.add_argument("--epochs", type=int, default=3, help="pairs of epochs after the warm-up")
    parser.add_argument("--batch_events", type=int, default=2048, help="events of a batch, padding included")
    parser.add_argument("--bar", action="store_true", help="count Lightning's progress bar as well, in place of ours")
    parser.add_argument("--accelerator", default="auto", help="of the trainer: auto, cpu, gpu")
    parser.add_argument("--seed", type=int, default=0, help="of weights and dropout")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    args = parser.parse_args(argv)
    if args.epochs < 1:
        parser.error("--epochs must be at least 1")
    if args.items and not args.interactions:
        parser.error("--items needs --interactions")
    return args


def main(argv: list[str]) -> None:
    args = parse(argv)
    hide_expected_messages()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with tempfile.TemporaryDirectory() as folder:
        with Progress(*columns, console=Console(stderr=True), disable=args.bar) as progress:
            told = measure(args, Path(folder), progress)
        if args.out:
            args.out.write_text(json.dumps(told, indent=1))
    tell(told)


if __name__ == "__main__":
    main(sys.argv[1:])
