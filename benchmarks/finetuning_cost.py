"""What fine-tuning on item titles costs: an epoch of ``interestlab fit``'s training loop against a plain loop.

The plain loop does what published code does (MoRec, IISAN and their like): of every batch of users, every occurrence of
every item is encoded anew, its title padded, through transformers' ``AutoModel`` with PEFT on all layers; then mean pooling,
a projection, a transformer over the history, softmax over the batch's items, AdamW. interestlab encodes each distinct title
of a step once, in chunks of like length, above the layers that are constant, which run once a title before training. Model,
batches of users, targets, loss and optimiser are the same, and titles are tokens beforehand on both sides.

**The plain loop that is timed is kinder than published code**, which also encodes the padding of histories up to
``max_history`` and pads titles to ``max_length``. Here it encodes real events alone, and the last target of each user, which
is a candidate, and pads to the longest title of the batch. What each of these choices is worth is counted in tokens:

1. histories padded to 50 events and titles to ``max_length``: as published
2. histories padded to the longest of the batch
3. real events alone
4. titles padded to the longest of the batch: the plain loop that is timed
5. each distinct title of the batch once
6. in chunks of like length: interestlab

Measured, in one run:

- **time**: an epoch of the plain loop takes hours on a CPU. Both sides take the same ``--batches`` of the epoch's, every k-th
  in the order of their lengths; an epoch is their time × its targets / their targets. Each side is a process, and they take
  turns batch by batch, in alternating order, after a small warm-up step each: other work on the machine slows all alike.
  Where it is much, ``--clock=processor`` counts the time that the processor spent instead.
  interestlab's time is all that passes from one step of a Lightning ``Trainer`` to the next: loading, finding what is
  distinct, hooks, logging. What it computes once, before training, is told apart, and shared out over 1 and 10 epochs.
  Validation and checkpoints are off.
- **memory**: peak of each process (of the GPU where there is one). A plain loop holds all activations of a batch, of which a
  full fine-tuning of MiniLM needs some tens of GB. So it is run in pieces of as many tokens as interestlab's chunks, each
  forward and straight backward. The gradient at the pieces' vectors is made beforehand and **not timed**: the plain loop pays
  neither for memory nor for computing anything again, as interestlab does (``--model.chunking.chunks_with_activations``);
  its time is that on a machine without limits. Its memory is what a piece holds, × the pieces of the largest batch measured.
  The pieces of a batch have one shape: ``--pieces`` of them are run, spread evenly, and stand for all.
- **sameness**: without dropout and with weights copied over, the losses of a step and of the step after its update must
  agree, the plain loop taking a batch whole as well as in pieces, or it is not the same model and the benchmark fails.

As data grows: an epoch of either side is linear in the events. The share of a batch's events that are distinct titles falls
with the batch (``--batch_events``) and rises with the catalogue. What is computed once is linear in the distinct titles.

    python benchmarks/finetuning_cost.py [--interactions FILE --items FILE] [--batches 3] [--max_length 64] [--out results.json]
"""

import argparse
import ctypes
import json
import logging
import multiprocessing
import os
import statistics
import sys
import tempfile
import threading
import time
import warnings
from copy import deepcopy
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from peft import LoraConfig, get_peft_model
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from transformers import AutoModel
from transformers.utils import logging as transformers_logging

from interestlab import dynamics, encoders, objectives, sources
from interestlab.batch import Batch, Inputs
from interestlab.contract import Dynamics, Encoder, Source
from interestlab.data.datamodule import InterestData
from interestlab.data.dataset import HistoryDataset, LengthBatches
from interestlab.data.fields import FieldValues
from interestlab.model.embedding_cache import Chunking, chunks
from interestlab.training.callbacks.cost import Cost, peak_memory
from interestlab.training.callbacks.run_folder import RunFolder, versions
from interestlab.training.fit import hide_expected_messages
from interestlab.training.lightning_module import InterestModel
from interestlab.training.loggers import create_loggers
from interestlab.training.logq import log_inclusion
from interestlab.training.optimizers import Optim, optimizer
from interestlab_encoders.weights import locate
from interestlab_objectives.chunked_cross_entropy import chunked_cross_entropy

FIELD, DIM, TEMPERATURE, LR, MAX_HISTORY = "item.title", 64, 0.07, 1e-3, 50
TOLERANCE = 1e-4
"""Relative difference of two losses that counts as rounding."""
EPOCHS = (1, 10)
"""Over how many what is computed once is shared out."""

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
clock = "wall"

OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("full", {}),
    "lora": ("lora", {}),
    "lora, top 2": ("lora", {"layers": 2}),
    "side": ("side", {}),
    "frozen": ("frozen", {}),
}
PLAIN = ("full", "lora", "frozen")
PAIRS: list[tuple[str, str, float | None]] = [
    ("full", "full", 3.0),
    ("lora", "lora", None),
    ("lora, top 2", "lora", 8.0),
    ("side", "full", 20.0),
    ("side", "frozen", None),
    ("frozen", "full", 20.0),
    ("frozen", "frozen", None),
]
"""Ours, plain, and how many times as fast ours is to be."""


# ---- the plain loop


class Plain(nn.Module):
    """The same model, written by hand.

    Args:
        encoder: name of the method.
        layers: how many of the top layers LoRA is put on; None: all.
    """

    def __init__(self, encoder: str, layers: int | None = None) -> None:
        super().__init__()
        backbone = AutoModel.from_pretrained(locate("minilm"), add_pooling_layer=False).float().train()
        self.pretrained = list(backbone.parameters())
        self.at_rest = encoder in ("frozen", "side")
        if self.at_rest:
            backbone.requires_grad_(False).eval()
        if encoder == "lora":
            count = backbone.config.num_hidden_layers
            top = None if layers is None else list(range(count - layers, count))
            config = LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"], layers_to_transform=top)
            backbone = get_peft_model(backbone, config)
        self.backbone = backbone
        self.blocks: nn.ModuleList | None = None
        self.projection = nn.Linear(backbone.config.hidden_size, DIM)
        self.dynamics = transformer()

    def take(self, model: InterestModel) -> "Plain":
        """Take over the weights of the framework's model."""
        encoder = model.encoders["main"]
        self.backbone.load_state_dict(cast(nn.Module, encoder.backbone).state_dict())
        self.projection.load_state_dict(model.projections["main"].state_dict())
        self.dynamics = deepcopy(model.dynamics)
        if hasattr(encoder, "gates"):
            self.blocks, self.gates = deepcopy(encoder.blocks), deepcopy(encoder.gates)
        return self.to(model.device)

    def encode(self, inputs: Inputs) -> Tensor:
        """``[N, w]`` a vector a title."""
        read = {"input_ids": inputs.values.long(), "attention_mask": inputs.mask.long()}
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.at_rest):
            out = self.backbone(**read, output_hidden_states=self.blocks is not None)
        if self.blocks is None:
            return mean(out.last_hidden_state, inputs.mask)
        states = [F.layer_norm(s := mean(state, inputs.mask), s.shape[-1:]) for state in out.hidden_states]
        h = self.blocks[0](states[0])
        for g, state, block in zip(self.gates.sigmoid(), states[1:], self.blocks[1:], strict=True):
            h = block(g * state + (1 - g) * h)
        return cast(Tensor, h)

    def loss(self, read: Tensor, batch: Batch, items: Tensor, titled: Tensor, log_q: Tensor) -> Tensor:
        """The loss of a batch, from what was read ``[N, w]`` of its :func:`occurrences`, and which of them have a title."""
        vectors = (self.projection(read) * titled[:, None]).to(log_q.dtype)
        x = vectors.new_zeros(*batch.mask.shape, DIM)
        x[batch.mask] = vectors[: int(batch.mask.sum())]
        z = self.dynamics(x, batch.dt, batch.mask)
        distinct, first = np.unique(items.cpu().numpy(), return_index=True)
        known, at = (torch.from_numpy(a).to(items.device) for a in (distinct, first))
        real = batch.targets >= 0
        wanted = torch.searchsorted(known, batch.targets[real])
        there = log_inclusion(log_q[known], batch.mask.sum() + len(batch.users), sampled=0, catalogue=len(log_q))
        queries, candidates = F.normalize(z[real], dim=-1), F.normalize(vectors[at], dim=-1)
        return chunked_cross_entropy(queries, candidates, wanted, -there, scale=1 / TEMPERATURE)

    def optimizer(self) -> torch.optim.Optimizer:
        """The framework's, with its rates."""
        parts = [self.backbone, self.blocks or nn.ModuleList()]
        inside = [p for part in parts for p in part.parameters()] + ([self.gates] if self.blocks is not None else [])
        pretrained = {id(p) for p in self.pretrained}
        named = {
            "pretrained": [p for p in inside if id(p) in pretrained],
            "peft": [p for p in inside if id(p) not in pretrained],
        }
        return optimizer(Optim(lr=LR), self.parameters(), named, fused=True)[0]


class PlainLoop:
    """Steps of :class:`Plain`.

    Args:
        model: what is trained.
        feature: the titles, as tokens.
        log_q: log of the share of the training events of each item.
        tokens: of a piece; None: a batch is one piece.
        precision: as Lightning's trainer takes it.
    """

    def __init__(self, model: Plain, feature: FieldValues, log_q: Tensor, tokens: int | None, precision: str) -> None:
        self.model, self.codes, self.tokens, self.precision = model, feature.codes, tokens, precision
        self.log_q, self.device = log_q, log_q.device
        self.optimizer = model.optimizer()
        # One matrix of all titles, as a tokenizer that pads gives it.
        every = feature.inputs(np.arange(feature.size))
        self.titles, self.lengths = every.values.to(self.device), cast(Tensor, every.lengths).to(self.device)

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16-mixed")

    def encode(self, codes: Tensor) -> Tensor:
        """Vectors of titles, padded as far as those of the batch are."""
        with self.autocast():
            return self.model.encode(Inputs(self.titles[codes, : self.width], self.lengths[codes]))

    def step(self, cpu_batch: Batch, pieces: int = 0) -> tuple[float, Tensor]:
        """Train on a batch: the seconds that it would take, and the loss.

        Args:
            cpu_batch: the batch.
            pieces: how many are run and stand for all; 0: all.
        """
        began = now(self.device)
        batch = Batch(*(t.to(self.device, non_blocking=True) for t in cpu_batch))
        items = occurrences(batch)
        codes = torch.from_numpy(self.codes[items.cpu().numpy()].astype(np.int64)).to(self.device)
        titled, codes = codes >= 0, codes.clamp_min(0)
        self.width = int(self.lengths[codes].max())
        if self.tokens is None:
            read = self.encode(codes)
            with self.autocast():
                loss = self.model.loss(read, batch, items, titled, self.log_q)
            loss.backward()
            self.update()
            return now(self.device) - began, loss.detach()
        seconds = now(self.device) - began

        read = self.beforehand(codes)
        read.requires_grad_(any(p.requires_grad for p in self.model.backbone.parameters()) or self.model.blocks is not None)

        began = now(self.device)
        with self.autocast():
            loss = self.model.loss(read, batch, items, titled, self.log_q)
        loss.backward()
        seconds += now(self.device) - began

        size = max(1, self.tokens // self.width)
        starts = np.arange(0, len(codes), size)
        run = starts if not pieces else starts[np.unique(np.linspace(0, len(starts) - 1, pieces).round().astype(int))]
        done, began = 0, now(self.device)
        for start in run:
            piece = slice(start, start + size)
            done += len(codes[piece])
            if read.grad is None:
                with torch.no_grad():
                    self.encode(codes[piece])
            else:
                self.encode(codes[piece]).backward(read.grad[piece])
        seconds += (now(self.device) - began) * len(codes) / done

        began = now(self.device)
        self.update()
        return seconds + now(self.device) - began, loss.detach()

    def update(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def beforehand(self, codes: Tensor) -> Tensor:
        """What the pieces will give, so that the gradient there is known; each title once, since this is not timed."""
        distinct, places = torch.unique(codes, return_inverse=True)
        by_length = torch.argsort(self.lengths[distinct])
        width, read = self.width, []
        for part in by_length.split(max(1, cast(int, self.tokens) // width)):
            self.width = int(self.lengths[distinct[part]].max())
            read.append(self.encode(distinct[part]))
        self.width = width
        return torch.cat(read)[torch.argsort(by_length)][places]

    def held(self, tokens: int) -> float:
        """MiB of activations that one graph over so many tokens holds, as a piece of the longest titles tells."""
        piece = torch.argsort(self.lengths)[-max(1, 1024 // int(self.lengths.max())) :]
        self.width = int(self.lengths[piece].max())
        own = {t.untyped_storage().data_ptr() for t in (*self.model.parameters(), *self.model.buffers(), self.titles)}
        sizes: dict[int, int] = {}
        kept: list[Tensor] = []  # so that no place is taken again

        def note(t: Tensor) -> Tensor:
            kept.append(t)
            if (place := t.untyped_storage().data_ptr()) not in own:
                sizes[place] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
            self.encode(piece)
        return sum(sizes.values()) / 2**20 / (len(piece) * self.width) * tokens


def occurrences(batch: Batch) -> Tensor:
    """``[N]`` the item of every real event of a batch, and then of the last target of every user."""
    last = batch.targets[torch.arange(len(batch.users), device=batch.mask.device), batch.mask.sum(1) - 1]
    return torch.cat([batch.items[batch.mask], last])


def rest() -> None:
    """Between turns, give back what is free: many processes share the memory."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # glibc has it, musl has not
        libc.malloc_trim(0)


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """``[N, L, w]`` a vector a token -> ``[N, w]`` their mean."""
    weights = mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


# ---- what both sides have


class Sampled(InterestData):
    """Some batches of an epoch.

    Args:
        samples: of each batch.
        kwargs: as for all data.
    """

    def __init__(self, samples: list[list[int]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.samples = samples

    @property
    def histories(self) -> HistoryDataset:
        return HistoryDataset(self.log, "train", self.max_history, self.exclude_history)

    def train_dataloader(self) -> DataLoader[Batch]:
        return DataLoader(self.histories, sampler=self.samples, batch_size=None, pin_memory=torch.cuda.is_available())


def transformer() -> Dynamics:
    return cast(Dynamics, dynamics.transformer(dim=DIM, layers=2, heads=2, dropout=0.3, max_length=MAX_HISTORY))


def data_of(args: argparse.Namespace, folder: Path, samples: list[list[int]]) -> Sampled:
    if args.interactions:
        source = sources.files(interactions=args.interactions, items=args.items)
    else:
        source = sources.simulated(users=args.users, items=args.catalogue, events=20)
    return Sampled(
        samples,
        source=cast(Source, source),
        max_history=MAX_HISTORY,
        batch_events=args.batch_events,
        cache_dir=str(folder / "cache"),
    )


def model_of(name: str, args: argparse.Namespace, data: Sampled) -> InterestModel:
    encoder, options = OURS[name]
    seed_everything(args.seed, verbose=False)
    return InterestModel(
        encoder=cast(Encoder, getattr(encoders, encoder)(fields=[FIELD], max_length=args.max_length, **options)),
        dynamics=transformer(),
        objective=objectives.next_item(candidates="batch", temperature=TEMPERATURE),
        cardinalities=data.cardinalities,
        dim=DIM,
        similarity="cosine",
        optim=Optim(lr=LR),
        chunking=Chunking(args.tokens, args.held),
    )


def fit(model: InterestModel, data: Sampled, callback: Callback, args: argparse.Namespace, folder: Path, **kwargs: Any) -> None:
    """Train for the batches that were sampled, as ``interestlab fit`` does."""
    trainer = Trainer(
        accelerator=args.accelerator,
        devices=1,
        max_epochs=1,
        default_root_dir=folder,
        logger=create_loggers(["jsonl"], folder),
        callbacks=[RunFolder(folder, "{}", args.seed), Cost(folder), callback],
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10,
        **kwargs,
    )
    trainer.fit(model, datamodule=data)


def now(device: torch.device) -> float:
    """The time, when all work so far is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return CLOCKS[clock]()


# ---- the processes of the sides


def work(side: str, args: argparse.Namespace, folder: Path, samples: list[list[int]], line: Connection) -> None:
    """One side, in a process of its own: it says when it is ready, and takes a step whenever it is told to."""
    global clock
    clock = args.clock
    silence()
    above = cast(Any, multiprocessing.parent_process())
    threading.Thread(target=lambda: (above.join(), os._exit(1)), daemon=True).start()  # a step may last for minutes
    data = data_of(args, folder, samples)
    kind, _, name = side.partition(" ")
    if kind == "same":
        same(name, args, folder, data, line)
    elif kind == "ours":
        ours(name, args, folder, data, line)
    else:
        plain(name, args, data, line)


def silence() -> None:
    """Leave the terminal to the process that shows the progress."""
    hide_expected_messages()
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (as long as the process lives)
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", category=FutureWarning)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def ours(name: str, args: argparse.Namespace, folder: Path, data: Sampled, line: Connection) -> None:
    model = model_of(name, args, data)
    fit(model, data, Turns(line), args, folder / f"run-{name}", precision=args.precision)
    line.send({"peak_mb": peak_memory()})


class Turns(Callback):
    """Waits for its turn before each step.

    Args:
        line: to the process that says whose turn it is.
    """

    def __init__(self, line: Connection) -> None:
        self.line = line

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        began = now(pl_module.device)
        for encoding in cast(InterestModel, pl_module).encodings.values():
            encoding.keep()
        self.once = now(pl_module.device) - began

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        told = {"once_seconds": self.once, "device": str(pl_module.device)}
        self.line.send(told | {"trained": sum(p.numel() for p in pl_module.parameters() if p.requires_grad)})
        self.line.recv()
        self.began = now(pl_module.device)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        seconds = now(pl_module.device) - self.began
        rest()
        self.line.send((seconds, float(outputs["loss"])))
        if batch_idx + 1 < trainer.num_training_batches:
            self.line.recv()
        self.began = now(pl_module.device)


def plain(name: str, args: argparse.Namespace, data: Sampled, line: Connection) -> None:
    feature = titles_of(args, data)
    device = Trainer(accelerator=args.accelerator, devices=1, logger=False).strategy.root_device
    seed_everything(args.seed, verbose=False)
    model = Plain(name).to(device)
    loop = PlainLoop(model, feature, log_q_of(data).to(device), None if args.whole else args.tokens, args.precision)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    line.send({"trained": trained, "device": str(device)})
    loader = iter(data.train_dataloader())
    most, base = 0, peak_memory() + 3 * 4 * trained / 2**20  # a gradient and two moments
    for _ in data.samples:
        line.recv()
        began = now(device)
        batch = next(loader)
        loading = now(device) - began
        seconds, loss = loop.step(batch, args.pieces)
        rest()
        line.send((loading + seconds, float(loss)))
        most = max(most, int(len(occurrences(batch)) * loop.width))
    held = 0.0 if args.whole else loop.held(most)
    line.send({"peak_mb": peak_memory() if args.whole else base + held, "held_mb": held})


def same(names: str, args: argparse.Namespace, folder: Path, data: Sampled, line: Connection) -> None:
    """Relative differences of the losses of each method, or the exit of the process."""
    for name in names.split("|"):
        callback = Same(name, titles_of(args, data), log_q_of(data), args)
        fit(model_of(name, args, data), data, callback, args, folder / f"same-{name}")
        line.send((name, callback.differences))


class Same(Callback):
    """Lets the plain loop take the trainer's steps too, without dropout.

    Args:
        name: of the method.
        feature: the titles, as tokens.
        log_q: log of the share of the training events of each item.
        args: the command line.
    """

    def __init__(self, name: str, feature: FieldValues, log_q: Tensor, args: argparse.Namespace) -> None:
        self.name, self.feature, self.log_q, self.args = name, feature, log_q, args
        self.differences: list[float] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model = cast(InterestModel, pl_module)
        with torch.no_grad():  # what is added starts at zero, where a mistake in it would not show
            for p in model.encoders.parameters():
                if p.requires_grad and not p.any():
                    p.normal_(std=0.02)
        encoder, options = OURS[self.name]
        plain = Plain(encoder, **options).take(model).eval()
        log_q = self.log_q.to(model.device)
        self.loops = [PlainLoop(deepcopy(plain), self.feature, log_q, tokens, "32-true") for tokens in (None, 512)]

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        pl_module.eval()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        ours, plain = float(outputs["loss"]), [float(loop.step(batch)[1]) for loop in self.loops]
        self.differences.append(max(abs(loss - ours) / abs(ours) for loss in plain))
        if self.differences[-1] > TOLERANCE:
            raise SystemExit(
                f"not the same model: at step {batch_idx + 1} of {self.name} the loss is {ours} in the framework, and in the "
                f"plain loop {plain[0]} with a batch as a whole and {plain[1]} in pieces"
            )


def titles_of(args: argparse.Namespace, data: Sampled) -> FieldValues:
    """The titles, as tokens."""
    return data.feature(cast(Encoder, encoders.frozen(fields=[FIELD], max_length=args.max_length)), FIELD)


def log_q_of(data: Sampled) -> Tensor:
    counts = np.maximum(data.log.counts, 1)
    return torch.from_numpy(np.log(counts / counts.sum())).float()


# ---- the process that measures


class Side:
    """A side's process, as seen from here.

    Args:
        name: of the side.
        args: the command line.
        folder: for what is written.
        samples: of its batches, the warm-up's first.
    """

    def __init__(self, name: str, args: argparse.Namespace, folder: Path, samples: list[list[int]]) -> None:
        self.name = name
        spawn = multiprocessing.get_context("spawn")  # a forked process would share what was loaded, and its peak memory
        self.line, theirs = spawn.Pipe()
        self.process = spawn.Process(target=work, args=(name, args, folder, samples, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def hear(self) -> Any:
        try:
            return self.line.recv()
        except EOFError:
            self.process.join()
            raise SystemExit(f"{self.name}: its process ended with {self.process.exitcode}") from None

    def turn(self) -> float:
        """Let it take a step; the seconds."""
        self.line.send("go")
        return float(self.hear()[0])


def counted(data: Sampled, feature: FieldValues, batches: list[list[int]], args: argparse.Namespace) -> dict[str, np.ndarray]:
    """Users, targets, titles and tokens of each batch."""
    assert feature.rows is not None
    lengths, histories, rows = feature.rows.lengths, data.histories, []
    for samples in batches:
        batch = histories[samples]
        codes = feature.codes[occurrences(batch).numpy()]
        distinct = np.unique(codes[codes >= 0])
        widest = int(lengths[distinct].max())
        parts = [len(chunk) * int(lengths[chunk].max()) for chunk in chunks(distinct, feature.rows, Chunking(args.tokens))]
        users, longest = batch.mask.shape
        rows.append(
            {
                "users": users,
                "events": int(batch.mask.sum()),
                "targets": int((batch.targets >= 0).sum()),
                "titles": len(codes),
                "distinct": len(distinct),
                "tokens_published": users * (MAX_HISTORY + 1) * args.max_length,
                "tokens_histories_of_the_batch": users * (longest + 1) * args.max_length,
                "tokens_real_events": len(codes) * args.max_length,
                "tokens_plain": len(codes) * widest,
                "tokens_distinct": len(distinct) * widest,
                "tokens_ours": sum(parts),
                "tokens_ours_again": sum(parts[args.held :]),
            }
        )
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def measure(args: argparse.Namespace, folder: Path, progress: Progress) -> dict[str, Any]:
    """Run everything; the results, as they are written down."""
    task = progress.add_task("reading", total=None)
    data = data_of(args, folder, [])
    feature = titles_of(args, data)
    sampler = LengthBatches(data.histories.lengths, args.batch_events, shuffle=True, seed=args.seed)
    epoch = sorted((b.tolist() for b in sampler.batches()), key=lambda b: data.histories.lengths[b].max())
    taken = len(epoch) if not args.batches else min(args.batches, len(epoch))
    chosen = [epoch[int((i + 0.5) * len(epoch) / taken)] for i in range(taken)]
    over_epoch, counts = (counted(data, feature, batches, args) for batches in (epoch, chosen))
    few = [chosen[i][0] for i in (0, taken // 2, -1, 0)]  # lengths far apart, and one user twice: titles that recur

    progress.update(task, description="starting", total=len(args.sides), completed=0)
    sides: list[Side] = []
    about: dict[str, dict[str, Any]] = {}
    for name in args.sides:  # one after the other: what is computed once is timed
        sides.append(Side(name, args, folder, [few, *chosen]))
        about[name] = sides[-1].hear()
        progress.advance(task)

    methods = [name for name in OURS if f"ours {name}" in args.sides]
    progress.update(task, description="sameness", total=len(methods), completed=0)
    differences = {}
    check = Side("same " + "|".join(methods), args, folder, [few, few]) if methods else None
    for _ in methods:
        name, off = cast(Side, check).hear()
        differences[name] = {"first_step": off[0], "after_first_update": off[1]}
        progress.advance(task)

    seconds: dict[str, list[float]] = {name: [] for name in args.sides}
    progress.update(task, total=len(sides) * (taken + 1), completed=0)
    for number in range(taken + 1):
        for side in sides if number % 2 else sides[::-1]:
            progress.update(task, description=f"{side.name}, " + (f"batch {number} of {taken}" if number else "warm-up"))
            took = side.turn()
            if number:
                seconds[side.name].append(took)
                progress.print(f"batch {number} of {taken}, {side.name}: {took:.1f} s")
            progress.advance(task)
    for side in sides:
        about[side.name] |= side.hear()
        side.process.join()
    progress.remove_task(task)

    targets = int(over_epoch["targets"].sum())
    for name, took in seconds.items():
        about[name] |= {"batch_seconds": took, "epoch_seconds": sum(took) * targets / int(counts["targets"].sum())}
    meta = data.log.meta
    return {
        "log": {k: meta[k] for k in ("source", "users", "items", "events")} | {"titles": feature.size},
        "settings": {"dim": DIM, "max_history": MAX_HISTORY}
        | {
            k: getattr(args, k)
            for k in ("batch_events", "max_length", "precision", "tokens", "held", "pieces", "whole", "clock")
        },
        "epoch": {k: int(v.sum()) for k, v in over_epoch.items()} | {"steps": len(epoch)},
        "measured": {k: v.tolist() for k, v in counts.items()},
        "loss_difference": differences,
        "sides": about,
        "pairs": [
            compared(name, other, goal, about)
            for name, other, goal in PAIRS
            if f"ours {name}" in about and f"plain {other}" in about
        ],
        "machine": {"device": next(iter(about.values()))["device"], "threads": torch.get_num_threads()} | versions(),
    }


def compared(name: str, other: str, goal: float | None, about: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One method against a plain loop. The goal must be met by the epochs and by the median of the batches."""
    ours, plain = about[f"ours {name}"], about[f"plain {other}"]
    ratios = [p / o for p, o in zip(plain["batch_seconds"], ours["batch_seconds"], strict=True)]
    spread = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    epoch = plain["epoch_seconds"] / ours["epoch_seconds"]
    with_once = {n: n * plain["epoch_seconds"] / (n * ours["epoch_seconds"] + ours["once_seconds"]) for n in EPOCHS}
    met = None if goal is None else min(epoch, spread["median"]) >= goal
    return {"ours": name, "plain": other, "epoch": epoch, "batches": spread, "with_once": with_once, "goal": goal, "met": met}


def tell(told: dict[str, Any]) -> None:
    """Print the results as tables."""
    epoch, sides, console = told["epoch"], told["sides"], Console()
    steps = epoch["steps"]
    log = ", ".join(f"{k} {v:,}" if isinstance(v, int) else str(v) for k, v in told["log"].items())
    settings = ", ".join(f"{k} {v}" for k, v in told["settings"].items())
    measured = {k: told["measured"][k] for k in ("users", "targets")}
    console.print(f"{log}\n{settings}\n{told['machine']['device']}, {told['machine']['threads']} threads")
    share = f"{sum(measured['targets']):,} of {epoch['targets']:,} targets"
    console.print(f"measured: {len(measured['users'])} of {steps} batches, {share}")
    off = [v for differences in told["loss_difference"].values() for v in differences.values()]
    if off:
        console.print(f"same model: the losses of {len(told['loss_difference'])} methods differ by at most {max(off):.1e}")

    table = Table("titles of a step, in tokens with padding", "tokens", "× those of interestlab")
    for name, key in {
        "1. histories padded to 50, titles to max_length: as published": "tokens_published",
        "2. histories padded to the longest of the batch": "tokens_histories_of_the_batch",
        "3. real events alone": "tokens_real_events",
        "4. titles padded to the longest of the batch: plain": "tokens_plain",
        "5. each distinct title once": "tokens_distinct",
        "6. in chunks of like length: interestlab": "tokens_ours",
        "   of these computed again, going backward": "tokens_ours_again",
    }.items():
        table.add_row(name, f"{epoch[key] / steps:,.0f}", f"{epoch[key] / epoch['tokens_ours']:.2f}")
    console.print(table)

    table = Table("side", "s an epoch", "s once", "tokens × layers a step: forward", "backward", "trained", "peak MiB")
    for name, side in sides.items():
        forward, backward = (f"{n / steps:,.0f} × {layers}" if n else "0" for n, layers in passes(name, epoch))
        memory = f"{side['peak_mb']:,.0f}" + (" (computed)" if side.get("held_mb") else "")
        once = f"{side['once_seconds']:.1f}" if "once_seconds" in side else ""
        table.add_row(name, f"{side['epoch_seconds']:,.1f}", once, forward, backward, f"{side['trained']:,}", memory)
    console.print(table)

    columns = ("ours", "plain", "times as fast: epoch", "batches, median (range)", *(f"with s once, over {n}" for n in EPOCHS))
    table = Table(*columns, "goal", caption="an epoch is extrapolated from the batches measured, by targets")
    for pair in told["pairs"]:
        spread, goal = pair["batches"], "–"
        if pair["goal"] is not None:
            goal = f"[green]{pair['goal']:g}: met[/]" if pair["met"] else f"[red]{pair['goal']:g}: missed[/]"
        batches = f"{spread['median']:.2f} ({spread['min']:.2f} to {spread['max']:.2f})"
        once = [f"{ratio:.2f}" for ratio in pair["with_once"].values()]
        table.add_row(pair["ours"], pair["plain"], f"{pair['epoch']:.2f}", batches, *once, goal)
    console.print(table)


def passes(side: str, epoch: dict[str, int]) -> list[tuple[int, int]]:
    """Tokens that go forward and backward through layers in an epoch, and through how many."""
    kind, _, name = side.partition(" ")
    layers = 0 if kind == "ours" and name in ("side", "frozen") else 2 if name == "lora, top 2" else 6
    tokens = epoch["tokens_plain"] if kind == "plain" else epoch["tokens_ours"]
    again = 0 if kind == "plain" else epoch["tokens_ours_again"]
    return [((tokens + again) * (layers > 0), layers), (tokens * (layers > 0 and name != "frozen"), layers)]


def parse(argv: list[str]) -> argparse.Namespace:
    about, _, rest = (__doc__ or "").partition("\n\n")
    sides = [f"plain {name}" for name in PLAIN] + [f"ours {name}" for name in OURS]
    parser = argparse.ArgumentParser(description=about, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interactions", help="events, as the source `files` reads them; default: a simulated log")
    parser.add_argument("--items", help="items with titles, as the source `files` reads them")
    parser.add_argument("--users", type=int, default=4_000, help="of the simulated log")
    parser.add_argument("--catalogue", type=int, default=4_000, help="items of the simulated log")
    parser.add_argument("--batches", type=int, default=3, help="how many batches of the epoch are measured; 0: all")
    parser.add_argument("--pieces", type=int, default=8, help="how many pieces of a plain batch stand for all; 0: all are run")
    parser.add_argument("--whole", action="store_true", help="the plain loop takes a batch as a whole, for batches that fit")
    parser.add_argument("--batch_events", type=int, default=4096, help="events of a batch, padding included")
    parser.add_argument("--max_length", type=int, default=64, help="most tokens of a title")
    parser.add_argument(
        "--tokens", type=int, default=Chunking().max_tokens, help="of a chunk, and of a piece of the plain loop"
    )
    parser.add_argument(
        "--held", type=int, default=Chunking().chunks_with_activations, help="chunks of a step that are not computed again"
    )
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="processor: for a CPU that is shared, and one thread")
    parser.add_argument("--accelerator", default="auto", help="of the trainer: auto, cpu, gpu")
    parser.add_argument("--sides", nargs="+", choices=sides, default=sides, metavar="SIDE", help=f"of {sides}; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of weights, dropout and batches")
    parser.add_argument("--out", type=Path, help="JSON file of the results")
    args = parser.parse_args(argv)
    if min(args.batches, args.pieces) < 0:
        parser.error("--batches and --pieces must be at least 0")
    if args.clock == "processor" and (torch.cuda.is_available() or torch.get_num_threads() > 1):
        parser.error("--clock=processor needs OMP_NUM_THREADS=1, since threads that wait take time too, and no GPU")
    if args.items and not args.interactions:
        parser.error("--items needs --interactions")
    return args


def main(argv: list[str]) -> None:
    args = parse(argv)
    hide_expected_messages()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with tempfile.TemporaryDirectory() as folder:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            told = measure(args, Path(folder), progress)
        if args.out:
            args.out.write_text(json.dumps(told, indent=1))
    tell(told)


if __name__ == "__main__":
    main(sys.argv[1:])
