"""Measure all sides in one run: start their processes, check the losses, and let them train in turns."""

import argparse
from pathlib import Path
from typing import Any

import torch
from rich.progress import Progress

from benchmarks.finetuning_cost.data import SampledBatches, load_data, tokenize_titles
from benchmarks.finetuning_cost.methods import AMORTISED, AMORTISED_METHODS, EPOCHS, FRAMEWORK_METHODS, PAIRS
from benchmarks.finetuning_cost.token_counts import count_batches, count_refresh_tokens
from benchmarks.finetuning_cost.worker import Worker
from benchmarks.harness.provenance import describe_machine
from benchmarks.harness.reference import DIM, MAX_HISTORY
from benchmarks.harness.timing import alternate, paired_ratios, summarize
from interestlab.data.sampler import LengthBucketSampler

SETTINGS = (
    "batch_events",
    "max_length",
    "precision",
    "max_tokens",
    "chunks_with_activations",
    "share",
    "schedule",
    "refresh",
    "pieces",
    "single_piece",
    "clock",
)
Sides = dict[str, dict[str, Any]]
"""Measurements of each side, by its name."""


def measure(options: argparse.Namespace, folder: Path, progress: Progress) -> dict[str, Any]:
    """Measure everything.

    Args:
        options: the command line.
        folder: for the cache and the runs; empty.
        progress: shows the stages and steps.

    Returns:
        the results, as they are written to JSON.
    """
    task = progress.add_task("reading", total=None)
    data = load_data(options, folder, [])
    titles = tokenize_titles(options, data)
    epoch, chosen = choose_batches(data, options)
    count, middle = len(chosen), len(chosen) // 2
    epoch_counts, counts = (count_batches(data, titles, batches, options) for batches in (epoch, chosen))
    # Four users whose histories differ much in length, one of them twice so that titles recur.
    warm_up = [chosen[i][0] for i in (0, middle, -1, 0)]
    progress.remove_task(task)

    workers, sides = start_workers(options, folder, [warm_up, *chosen], progress)
    differences = compare_models(options, folder, [warm_up, warm_up], progress)
    seconds = train_in_turns(workers, count, progress)
    for worker in workers:
        sides[worker.side] |= worker.receive()
        worker.process.join()

    for name in AMORTISED_METHODS:  # the cached trunk is that of the same method without amortising, which was started before
        own, exact = (sides.get(f"ours {method}") for method in (name, name.removesuffix(AMORTISED)))
        if own and exact:
            own["once_seconds"] = max(own["once_seconds"], exact["once_seconds"])

    targets = int(epoch_counts["targets"].sum())
    measured_targets = int(counts["targets"].sum())
    for side, batch_seconds in seconds.items():
        refresh_seconds = sides[side].get("refresh_seconds", 0.0)
        epoch_seconds = sum(batch_seconds) * targets / measured_targets
        if options.refresh == "epoch":
            epoch_seconds += refresh_seconds
        elif refresh_seconds:
            sides[side]["once_seconds"] += refresh_seconds
        sides[side] |= {"batch_seconds": batch_seconds, "epoch_seconds": epoch_seconds}
    tokens_refresh = count_refresh_tokens(titles, options) if options.refresh == "epoch" else 0
    settings = {"dim": DIM, "max_history": MAX_HISTORY}
    return {
        "log": {k: data.log.meta[k] for k in ("source", "users", "items", "events")} | {"titles": titles.size},
        "settings": settings | {k: getattr(options, k) for k in SETTINGS},
        "epoch": {k: int(v.sum()) for k, v in epoch_counts.items()}
        | {"steps": len(epoch), "tokens_refresh": tokens_refresh, "share": options.share},
        "measured": {k: v.tolist() for k, v in counts.items()},
        "loss_difference": differences,
        "sides": sides,
        "pairs": [
            compare_pair(ours, other, goal, sides) for ours, other, goal in PAIRS if f"ours {ours}" in sides and other in sides
        ],
        "machine": describe_machine(torch.device(next(iter(sides.values()))["device"])),
    }


def choose_batches(data: SampledBatches, options: argparse.Namespace) -> tuple[list[list[int]], list[list[int]]]:
    """Return all batches of an epoch, by length, and those that are measured, spread evenly over them."""
    lengths = data.histories.lengths
    sampler = LengthBucketSampler(lengths, options.batch_events, shuffle=True, seed=options.seed)
    epoch = sorted((batch.tolist() for batch in sampler.epoch_batches()), key=lambda batch: lengths[batch].max())
    count = min(options.batches or len(epoch), len(epoch))
    return epoch, [epoch[int((i + 0.5) * len(epoch) / count)] for i in range(count)]


def start_workers(
    options: argparse.Namespace, folder: Path, batches: list[list[int]], progress: Progress
) -> tuple[list[Worker], Sides]:
    """Start the process of each side, one after the other since the work that they do once is timed."""
    task = progress.add_task("starting", total=len(options.sides))
    workers, sides = [], {}
    for side in options.sides:
        workers.append(Worker(side, options, folder, batches))
        sides[side] = workers[-1].receive()
        progress.advance(task)
    progress.remove_task(task)
    return workers, sides


def compare_models(
    options: argparse.Namespace, folder: Path, batches: list[list[int]], progress: Progress
) -> dict[str, dict[str, float]]:
    """Return the relative differences of the losses of each method against the plain loop.

    Raises:
        SystemExit: a method trains another model than the plain loop.
    """
    methods = [method for method in FRAMEWORK_METHODS if f"ours {method}" in options.sides]
    if not methods:
        return {}
    task = progress.add_task("comparing losses", total=len(methods))
    worker, differences = Worker("same " + "|".join(methods), options, folder, batches), {}
    for _ in methods:
        method, by_step = worker.receive()
        differences[method] = {"first_step": by_step[0], "after_first_update": by_step[1]}
        progress.advance(task)
    progress.remove_task(task)
    return differences


def train_in_turns(workers: list[Worker], batches: int, progress: Progress) -> dict[str, list[float]]:
    """Let the sides train batch by batch in turns, after a warm-up; return the seconds of each batch."""
    task = progress.add_task("", total=len(workers) * (batches + 1))
    seconds: dict[str, list[float]] = {worker.side: [] for worker in workers}
    for number, worker in alternate(workers, batches + 1):
        name = f"batch {number} of {batches}" if number else "warm-up"
        progress.update(task, description=f"{worker.side}, {name}")
        batch_seconds = worker.train_step()
        if number:
            seconds[worker.side].append(batch_seconds)
            progress.print(f"{name}, {worker.side}: {batch_seconds:.1f} s")
        progress.advance(task)
    progress.remove_task(task)
    return seconds


def compare_pair(ours: str, other: str, goal: float | None, sides: Sides) -> dict[str, Any]:
    """Return how many times as fast a method of interestlab is as another side.

    Args:
        ours: method of interestlab.
        other: side that it is compared with.
        goal: must be met by the epoch and by the median of the batches; None: no goal.
        sides: measurements of all sides.
    """
    fast, slow = sides[f"ours {ours}"], sides[other]
    batches = summarize(paired_ratios(slow["batch_seconds"], fast["batch_seconds"]))
    epoch = slow["epoch_seconds"] / fast["epoch_seconds"]
    slow_once = slow.get("once_seconds", 0.0)
    with_once = {
        n: (n * slow["epoch_seconds"] + slow_once) / (n * fast["epoch_seconds"] + fast["once_seconds"]) for n in EPOCHS
    }
    is_met = None if goal is None else min(epoch, batches["median"]) >= goal
    return {
        "ours": ours,
        "other": other,
        "epoch": epoch,
        "batches": batches,
        "with_once": with_once,
        "goal": goal,
        "met": is_met,
    }
