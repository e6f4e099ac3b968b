"""The processes of the sides: each takes a training step when the measuring process asks for it."""

import argparse
import logging
import multiprocessing
import os
import sys
import threading
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Trainer, seed_everything
from transformers.utils import logging as transformers_logging

from benchmarks.finetuning_cost.data import SampledBatches, load_data, log_popularity, tokenize_titles
from benchmarks.finetuning_cost.framework import WaitForTurn, make_model, train
from benchmarks.finetuning_cost.plain_loop import PlainLoop
from benchmarks.finetuning_cost.plain_model import PlainModel
from benchmarks.finetuning_cost.same_model import CompareLosses
from benchmarks.harness.memory import release_free_memory
from benchmarks.harness.timing import Stopwatch
from interestlab.training.callbacks.cost import peak_memory
from interestlab.training.fit import hide_expected_messages


class Worker:
    """A side's process, seen from the measuring process.

    Args:
        side: ``ours METHOD``, ``plain METHOD``, or ``same METHOD|METHOD…`` for the check of the losses.
        options: the command line.
        folder: folder of the benchmark.
        batches: indices of the users of each batch, the warm-up first.
    """

    def __init__(self, side: str, options: argparse.Namespace, folder: Path, batches: list[list[int]]) -> None:
        self.side = side
        spawn = multiprocessing.get_context("spawn")  # a forked process would share loaded memory, and its peak
        self.connection, other_end = spawn.Pipe()
        self.process = spawn.Process(target=run_worker, args=(side, options, folder, batches, other_end), daemon=True)
        self.process.start()
        other_end.close()

    def receive(self) -> Any:
        """Return the next message of the process.

        Raises:
            SystemExit: the process ended.
        """
        try:
            return self.connection.recv()
        except EOFError:
            self.process.join()
            raise SystemExit(f"{self.side}: its process ended with status {self.process.exitcode}") from None

    def train_step(self) -> float:
        """Let the process take a step, and return its seconds."""
        self.connection.send("step")
        return float(self.receive()[0])


def run_worker(side: str, options: argparse.Namespace, folder: Path, batches: list[list[int]], connection: Connection) -> None:
    """Run one side; the arguments are those of :class:`Worker`, and the end of its connection."""
    silence_output()
    parent = cast(Any, multiprocessing.parent_process())
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()  # a step may take minutes
    data = load_data(options, folder, batches)
    kind, _, method = side.partition(" ")
    if kind == "same":
        compare_models(method.split("|"), options, folder, data, connection)
    elif kind == "ours":
        run_framework(method, options, folder, data, connection)
    else:
        run_plain(method, options, data, connection)


def silence_output() -> None:
    """Leave the terminal to the process that shows the progress."""
    hide_expected_messages()
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (open as long as the process lives)
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", category=FutureWarning)
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()


def run_framework(method: str, options: argparse.Namespace, folder: Path, data: SampledBatches, connection: Connection) -> None:
    """Train with interestlab, and send the peak memory and the time of refreshing at the end."""
    model, callback = make_model(method, options, data), WaitForTurn(connection, options.clock)
    train(model, data, callback, options, folder / f"run-{method}", options.precision)
    connection.send({"peak_mb": peak_memory(), "refresh_seconds": callback.refresh_seconds})


def run_plain(method: str, options: argparse.Namespace, data: SampledBatches, connection: Connection) -> None:
    """Train with the plain loop, and send the peak memory at the end: measured with ``--single_piece``, else computed."""
    titles = tokenize_titles(options, data)
    device = Trainer(accelerator=options.accelerator, devices=1, logger=False).strategy.root_device
    seed_everything(options.seed, verbose=False)
    model, stopwatch = PlainModel(method).to(device), Stopwatch(options.clock, device)
    piece_tokens = None if options.single_piece else options.max_tokens
    loop = PlainLoop(model, titles, log_popularity(data).to(device), piece_tokens, options.precision, stopwatch)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    connection.send({"trained": trained, "device": str(device)})
    loader = iter(data.train_dataloader())
    most_tokens, base_memory = 0, peak_memory() + 3 * 4 * trained / 2**20  # a gradient and two moments
    for _ in data.batches:
        connection.recv()
        start = stopwatch.now()
        batch = next(loader)
        loading_seconds = stopwatch.now() - start
        result = loop.train_step(batch, options.pieces)
        release_free_memory()
        connection.send((loading_seconds + result.seconds, result.loss))
        most_tokens = max(most_tokens, result.tokens)
    activations = 0.0 if options.single_piece else loop.activation_memory(most_tokens)
    peak = peak_memory() if options.single_piece else base_memory + activations
    connection.send({"peak_mb": peak, "activations_mb": activations})


def compare_models(
    methods: list[str], options: argparse.Namespace, folder: Path, data: SampledBatches, connection: Connection
) -> None:
    """Send each method with the relative differences of its losses; end the process if a method trains another model."""
    for method in methods:
        callback = CompareLosses(method, tokenize_titles(options, data), log_popularity(data), options)
        train(make_model(method, options, data), data, callback, options, folder / f"same-{method}")
        connection.send((method, callback.differences))
