"""``interestlab sweep FILE``: run all trials of a sweep file, or what is left of them, and report what they say together."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interestlab.sweep.spec import Spec
    from interestlab.sweep.trials import Trial

ENGINES = ("local", "ray", "wandb")


def run(args: list[str]) -> None:
    """Run a sweep.

    Raises:
        SystemExit: 1 where a trial failed, 130 after Ctrl-C; 2 and one line where the user can mend what is wrong.
    """
    options = parser().parse_args(args[1:])
    from interestlab.config.one_line_errors import told_in_one_line  # the help comes without waiting for torch

    with told_in_one_line():
        try:
            failed = sweep(options)
        except KeyboardInterrupt:
            print("interestlab: stopped; the same command goes on from here.", file=sys.stderr)
            raise SystemExit(130) from None
    if failed:
        raise SystemExit(1)


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser("interestlab sweep", description="Run all trials of a sweep file, and compare them.")
    made.add_argument("file", type=Path, metavar="FILE", help="the sweep file")
    made.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="settings of all trials")
    made.add_argument("--seeds", type=numbers, metavar="0,1,2", help="in the place of the file's")
    made.add_argument("--out", type=Path, metavar="DIR", help="folder of the sweep; default runs/NAME")
    made.add_argument("--workers", type=int, default=1, help="trials at a time; they share the cores (default 1)")
    made.add_argument("--engine", choices=ENGINES, default="local", help="what runs the trials (default local)")
    alone = made.add_mutually_exclusive_group()
    alone.add_argument("--trial", metavar="ID", help="run this one alone, and report nothing")
    alone.add_argument("--retry", metavar="ID", help="run this one again, alone; `failed`: all that failed")
    made.add_argument("--dry_run", action="store_true", help="list the trials, and run nothing")
    made.add_argument("--no_report", action="store_true", help="write the table of results alone")
    return made


def numbers(text: str) -> list[int]:
    """Numbers between commas."""
    return [int(part) for part in text.split(",")]


def sweep(options: argparse.Namespace) -> bool:
    """Run a sweep; whether a trial of those that were to be run failed."""
    import importlib

    from interestlab.cli.check import check
    from interestlab.errors import DataError
    from interestlab.sweep import running
    from interestlab.sweep.display import Display
    from interestlab.sweep.engines import wandb
    from interestlab.sweep.spec import read
    from interestlab.sweep.trials import chosen, expand
    from interestlab.utils.atomic_files import write_text_atomic

    if options.workers < 1:
        raise DataError("--workers must be at least 1.")
    spec = read(options.file, assignments(options.set), options.seeds)
    folder = (options.out or Path("runs") / spec.name).resolve()
    if (folder / "config.yaml").exists():
        raise DataError(f"{folder} holds a run; give another --out.")
    every = expand(spec)
    if options.retry == "failed":
        wanted = [t for t in every if (ended := running.record(folder, t.id)) and ended.status == "failed"]
    else:
        one = options.trial or options.retry
        wanted = [chosen(every, one)] if one else every
    try:
        check(wanted, spec.metrics)
    except DataError as err:
        raise DataError(f"{options.file}: {err}") from err
    if options.dry_run:
        show(spec, wanted, folder)
        return False
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomic(folder / "sweep.yaml", spec.dump())
    wandb.write(every, folder)
    if options.retry:
        for trial in wanted:
            running.forget(folder, trial.id)
    states = {trial.id: ended.status for trial in wanted if (ended := running.record(folder, trial.id))}
    counts = [list(states.values()).count(status) for status in ("done", "failed")]
    with Display(len(wanted), *counts) as display:
        engine = importlib.import_module(f"interestlab.sweep.engines.{options.engine}")
        engine.run([trial for trial in wanted if trial.id not in states], folder, options.workers, display)
    return tell(spec, every, wanted, folder, report=not (options.no_report or options.trial))


def tell(spec: "Spec", every: "Sequence[Trial]", wanted: "Sequence[Trial]", folder: Path, *, report: bool) -> bool:
    """Write the table of results and the report, and say what there is; whether a wanted trial failed."""
    import polars as pl
    from filelock import FileLock

    from interestlab.sweep import tracking
    from interestlab.sweep.table import gather

    with FileLock(folder / "results.lock"):  # another process may end its part of the sweep just now
        results = gather(spec, every, folder)
        draft = folder / ".results.parquet"
        results.write_parquet(draft)
        draft.replace(folder / "results.parquet")
        told = [f"{count} {status}" for status, count in results["status"].value_counts().sort("status").iter_rows()]
        print(f"{', '.join(told)}: {folder / 'results.parquet'}", file=sys.stderr)
        mine = results.filter(pl.col("trial").is_in([trial.id for trial in wanted]))
        failed = mine.filter(pl.col("status") == "failed")
        for trial, reason in failed.select("trial", "reason").iter_rows():
            print(f"failed: {trial}: {reason}", file=sys.stderr)
        if failed.height:
            print("--retry=failed runs those again.", file=sys.stderr)
        if report:
            from interestlab.sweep.report import write_report

            print(f"the report is {write_report(folder)}", file=sys.stderr)
            tracking.follow(spec, folder)
    return bool(failed.height)


def show(spec: "Spec", trials: "Sequence[Trial]", folder: Path) -> None:
    """Print the trials and how they stand."""
    from rich.console import Console
    from rich.table import Table

    from interestlab.sweep.running import record

    table = Table("trial", *spec.axes, "seed", "status", title=f"{spec.name}: {len(trials)} trials in {folder}")
    for trial in trials:
        ended = record(folder, trial.id)
        table.add_row(trial.id, *trial.labels.values(), str(trial.seed), ended.status if ended else "missing")
    Console().print(table)


def assignments(told: list[str]) -> dict[str, Any]:
    """Settings as typed: ``KEY=VALUE``, the value as YAML has it."""
    from jsonargparse import get_loader

    from interestlab.errors import DataError

    made = {}
    for text in told:
        key, equals, value = text.partition("=")
        if not equals:
            raise DataError(f"--set {text}: it must be KEY=VALUE.")
        made[key.lstrip("-")] = get_loader("yaml")(value)
    return made
