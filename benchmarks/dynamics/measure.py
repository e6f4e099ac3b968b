"""Measure passes and steps of all dynamics in turns."""

import argparse
import statistics
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from lightning.pytorch import seed_everything
from rich.progress import Progress, TaskID
from torch import Tensor

from benchmarks.dynamics.contenders import BASELINE, Contender, list_contenders
from benchmarks.harness.memory import peak_of
from benchmarks.harness.provenance import describe_machine
from benchmarks.harness.timing import Stopwatch, alternate
from interestlab.contract import Dynamics, State

MEAN_GAP_DAYS = 7.0
"""Mean time between two events."""
STEPS_PER_TURN = 20
"""Steps of one turn, all from the same state: a single step is too short for a clock."""
SETTINGS = ("dim", "lengths", "events", "histories", "dropout", "rounds", "limit", "clock")
Work = dict[str, Callable[[], object]]
"""What is timed of each contender, by its label."""


def measure(options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Measure everything.

    Args:
        options: the command line.
        progress: shows the stages.

    Returns:
        the results, as they are written to JSON.
    """
    device = torch.device(options.device)
    stopwatch = Stopwatch(options.clock, device)
    seed_everything(options.seed, verbose=False)
    contenders = list_contenders(options.dynamics)
    with suppress(KeyboardInterrupt):  # the measurements so far are reported
        measure_steps(contenders, options, stopwatch, progress)
        measure_passes(contenders, options, stopwatch, progress)
    baseline = {row["length"]: row["ms"] for c in contenders if c.name == BASELINE for row in c.passes}
    for row in (row for c in contenders for row in c.passes):
        row["of_baseline"] = row["ms"] / baseline[row["length"]] if row["length"] in baseline else None
    upper = options.lengths[len(options.lengths) // 2 :]
    return {
        "settings": {k: getattr(options, k) for k in SETTINGS},
        "dynamics": {
            c.label: {
                "name": c.name,
                "passes": c.passes,
                "steps": c.steps,
                "pass_growth": growth(c.passes, upper, options.histories),
                "step_growth": growth(c.steps, upper),
                "stopped": c.stopped,
            }
            for c in contenders
        },
        "machine": describe_machine(options.device),
    }


def measure_passes(
    contenders: Sequence[Contender], options: argparse.Namespace, stopwatch: Stopwatch, progress: Progress
) -> None:
    """Measure a pass at every length, until a contender takes too long."""
    for length in options.lengths:
        running = [c for c in contenders if not c.stopped]
        histories = max(options.histories, options.events // length)
        batch = random_events(histories, length, options.dim, options.device)
        work: Work = {c.label: partial(train_pass, c.build(options, length).train(), *batch) for c in running}
        stage = f"T = {length}"
        task = progress.add_task(stage, total=len(work) * (options.rounds + 1))
        peaks = {}
        for label, one_pass in work.items():
            show_label(progress, task, stage, label)
            peaks[label] = peak_of(one_pass, options.device)
        times = time_in_turns(work, options.rounds, stopwatch, partial(show_label, progress, task, stage))
        progress.remove_task(task)
        for c in running:
            c.passes.append(summarize_passes(length, histories, times[c.label], peaks[c.label]))
            seconds = statistics.median(times[c.label]) / 1e3
            if seconds > options.limit and length < options.lengths[-1]:
                c.stopped = f"a pass of {histories} histories of {length} events takes {seconds:.1f} s"


def summarize_passes(length: int, histories: int, times: Sequence[float], peak: float | None) -> dict[str, Any]:
    """Return the measurements of a batch, per history.

    Args:
        length: events per history.
        histories: histories of the batch.
        times: milliseconds of each round.
        peak: MiB that a pass adds at its peak; None if the system does not report it.
    """
    return {
        "length": length,
        "histories": histories,
        "ms": statistics.median(times) / histories,
        "rounds_ms": [ms / histories for ms in times],
        "peak_mb": None if peak is None else max(0.0, peak) / histories,
    }


@torch.no_grad()
def measure_steps(
    contenders: Sequence[Contender], options: argparse.Namespace, stopwatch: Stopwatch, progress: Progress
) -> None:
    """Measure a step of one user after each length."""
    longest = options.lengths[-1]
    x, dt, _ = random_events(1, longest + 1, options.dim, options.device)
    models = {c.label: c.build(options, longest + 1).eval() for c in contenders}
    states = {label: model.init_state(1) for label, model in models.items()}
    task = progress.add_task("steps", total=len(models) * len(options.lengths) * (options.rounds + 1))
    for begin, length in pairwise((0, *options.lengths)):
        for label, model in models.items():
            show_label(progress, task, "steps", label)
            for t in range(begin, length):
                states[label], _ = model.step(states[label], x[:, t], dt[:, t])
        work: Work = {
            label: partial(repeat_step, model, states[label], x[:, length], dt[:, length]) for label, model in models.items()
        }
        times = time_in_turns(work, options.rounds, stopwatch, partial(show_label, progress, task, "steps"))
        for c in contenders:
            rounds = [ms / STEPS_PER_TURN for ms in times[c.label]]
            c.steps.append({"length": length, "ms": statistics.median(rounds), "rounds_ms": rounds})
    progress.remove_task(task)


def time_in_turns(work: Work, rounds: int, stopwatch: Stopwatch, report: Callable[[str], object]) -> dict[str, list[float]]:
    """Return the milliseconds of each piece of work, one value per round.

    Args:
        work: what is timed.
        rounds: how often; the order alternates.
        stopwatch: times it.
        report: is called with the label before each call.
    """
    times: dict[str, list[float]] = {label: [] for label in work}
    for _, label in alternate(list(work), rounds):
        report(label)
        times[label].append(1e3 * stopwatch.seconds(work[label]))
    return times


def show_label(progress: Progress, task: TaskID, stage: str, label: str) -> None:
    """Show what is measured now, and advance the progress bar."""
    progress.update(task, description=f"{stage}: {label}", advance=1)


def random_events(histories: int, length: int, dim: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return events ``[B, T, D]``, days since the one before ``[B, T]`` and a mask ``[B, T]`` without padding."""
    x = torch.randn(histories, length, dim, device=device)
    dt = torch.empty(histories, length, device=device).exponential_(1 / MEAN_GAP_DAYS)
    dt[:, 0] = 0
    return x, dt, torch.ones(histories, length, dtype=torch.bool, device=device)


def train_pass(model: Dynamics, x: Tensor, dt: Tensor, mask: Tensor) -> None:
    """Run forward and backward, and drop the gradients."""
    model(x.requires_grad_(), dt, mask).square().mean().backward()
    x.grad = None
    model.zero_grad(set_to_none=True)


def repeat_step(model: Dynamics, state: State, x: Tensor, dt: Tensor) -> None:
    """Take the same step :data:`STEPS_PER_TURN` times."""
    for _ in range(STEPS_PER_TURN):
        model.step(state, x, dt)


def growth(rows: Sequence[dict[str, Any]], lengths: Sequence[int], histories: int | None = None) -> float | None:
    """Return the slope of log time on log T.

    Args:
        rows: measurements.
        lengths: lengths that count.
        histories: histories per batch of the measurements that count; None: any.

    Returns:
        the slope; None if fewer than two lengths count.
    """
    used = [row for row in rows if row["length"] in lengths and histories in (None, row.get("histories"))]
    if len(used) < 2:
        return None
    return float(np.polyfit(np.log([row["length"] for row in used]), np.log([row["ms"] for row in used]), 1)[0])
