"""The table of one log as Markdown."""

import argparse
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.leaderboard.measure import AXIS, sweep_file
from interestlab.reporting.labels import markdown_row
from interestlab.reporting.number_formats import MISSING, decimal, three_digits
from interestlab.sweep.compare import compare
from interestlab.sweep.comparison import Comparison, Configuration
from interestlab.sweep.comparison_table import difference, estimate, seeds
from interestlab.sweep.spec import read
from interestlab.sweep.table import results_table
from interestlab.sweep.trials import expand
from interestlab.training.loggers.jsonl import read_metrics
from interestlab.utils.atomic_files import write_text_atomic

RECALL, NDCG = "test/recall@10", "test/ndcg@10"
VALIDATION = "val/ndcg@10"
GROUPS = ("cold", "rare", "frequent")
HEADS = [
    *("model", "seeds", "recall@10", "ndcg@10", "Δ ndcg@10", "95% over users", "p (Holm)"),
    *("recall@10 cold", "rare", "frequent", "best epoch", "seconds to it"),
]


def write_table(options: argparse.Namespace, name: str, baselines: Mapping[str, Any]) -> str:
    """Write the table of a log into the folder of the tables, and return it.

    Args:
        options: of the command.
        name: name of the log.
        baselines: contents of ``baselines.json``.
    """
    folder = options.out / name
    spec = read(sweep_file(options, name))
    results = results_table(spec, expand(spec), folder)
    results.write_parquet(folder / "results.parquet")
    write_text_atomic(folder / "sweep.yaml", spec.dump())
    text = "\n".join(table(compare(folder), folder, results, baselines)) + "\n"
    options.tables.mkdir(parents=True, exist_ok=True)
    write_text_atomic(options.tables / f"{name}.md", text)
    return text


def table(comparison: Comparison, folder: Path, results: pl.DataFrame, baselines: Mapping[str, Any]) -> list[str]:
    """Return the lines of a table: models by ndcg@10, then the untrained baselines.

    Args:
        comparison: the runs that are done, compared.
        folder: folder of the sweep.
        results: its trials.
        baselines: contents of ``baselines.json``.
    """
    done = sorted((c for c in comparison.configurations if c.done), key=lambda c: -c.metrics[NDCG].mean)
    rows = [HEADS, ["---"] * len(HEADS)]
    for configuration in done:
        trials = results.filter(pl.col(f"axis/{AXIS}") == configuration.name, pl.col("status") == "done")
        rows.append(model_row(configuration, trials, folder))
    rows += [baseline_row(name, measured) for name, measured in baselines.items()]
    missing = ", ".join(f"`{c.name}`" for c in comparison.configurations if not c.done)
    fingerprint = ", ".join(f"{key}={value}" for key, value in comparison.fingerprint.items())
    return [*map(markdown_row, rows), "", *([f"Not run: {missing}.", ""] if missing else []), f"Fingerprint: `{fingerprint}`"]


def model_row(configuration: Configuration, trials: pl.DataFrame, folder: Path) -> list[str]:
    """Return the cells of a model.

    Args:
        configuration: metrics and differences of the model.
        trials: its finished trials, one row per seed.
        folder: folder of the sweep.
    """
    metrics = [estimate(configuration.metrics.get(metric)) for metric in (RECALL, NDCG)]
    delta, over_users, _, p = difference(configuration, NDCG)
    groups = [decimal(statistics.fmean(trials[f"test/{group}/recall@10"]), 4) for group in GROUPS]
    epochs = [best_epoch(folder / run) for run in trials["run"]]
    seconds = [epoch * cost for epoch, cost in zip(epochs, trials["seconds_per_epoch"], strict=True)]
    costs = [three_digits(statistics.fmean(values)) for values in (epochs, seconds)]
    return [f"`{configuration.name}`", seeds(configuration), *metrics, delta, over_users, p, *groups, *costs]


def best_epoch(run: Path) -> int:
    """Return the number of epochs at the best validation of a run.

    Args:
        run: folder of the run.
    """
    validations = read_metrics(run / "metrics.jsonl").drop_nulls(VALIDATION)
    return int(validations["epoch"][int(validations[VALIDATION].arg_max() or 0)]) + 1


def baseline_row(name: str, measured: Mapping[str, Any]) -> list[str]:
    """Return the cells of an untrained baseline.

    Args:
        name: its name.
        measured: its metrics, or why it was skipped.
    """
    metrics = [decimal(measured.get(name), 4) for name in (RECALL, NDCG)]
    groups = [decimal(measured.get(f"test/{group}/recall@10"), 4) for group in GROUPS]
    note = "skipped" if "skipped" in measured else "untrained"
    seconds = sum(measured.get(name, 0) for name in ("build_seconds", "rank_seconds"))
    return [f"`{name}`", note, *metrics, *[MISSING] * 3, *groups, MISSING, three_digits(seconds) if seconds else MISSING]
