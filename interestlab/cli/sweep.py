"""Run the remaining trials of a sweep file, and compare all trials."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interestlab.config.parser import CommandParser
from interestlab.errors import DataError

if TYPE_CHECKING:
    from polars import DataFrame

    from interestlab.sweep.search.study import Study
    from interestlab.sweep.spec import Spec
    from interestlab.sweep.spec_values import Settings
    from interestlab.sweep.trials import Trial


def run(args: list[str]) -> None:
    """Run a sweep.

    Args:
        args: the options.

    Raises:
        DataError: an option or the sweep file cannot be used.
        SystemExit: 1 where a trial failed, 130 after Ctrl-C.
    """
    options = sweep_parser().parse_args(args)
    try:
        has_failed = sweep(options)
    except KeyboardInterrupt:
        print("interestlab: stopped; the same command continues the sweep.", file=sys.stderr)
        raise SystemExit(130) from None
    if has_failed:
        raise SystemExit(1)


def sweep_parser() -> CommandParser:
    """Return the parser of the options."""
    parser = CommandParser("interestlab sweep", description="Run all trials of a sweep file, and compare them.")
    parser.add_argument("file", type=Path, metavar="FILE", help="the sweep file")
    parser.add_argument(
        "--set", nargs="+", action="extend", metavar="KEY=VALUE", help="settings for all trials; override the file"
    )
    parser.add_argument("--seeds", metavar="0,1,2", help="seeds to use instead of those in the file")
    parser.add_argument("--out", type=Path | None, metavar="DIR", help="folder of the sweep (default runs/NAME)")
    parser.add_argument("--workers", type=int, default=1, help="number of trials at a time; they share the cores")
    parser.add_argument(
        "--engine",
        type=Literal["local", "ray", "wandb"],
        default="local",
        help="where to run the trials",
    )
    parser.add_argument("--trial", type=str | None, metavar="ID", help="run only this trial, without a report")
    parser.add_argument("--retry", type=str | None, metavar="ID", help="run only this trial again; `failed`: all failed trials")
    parser.add_argument("--dry_run", action="store_true", help="list the trials without running them")
    parser.add_argument("--no_report", action="store_true", help="write only the table of results")
    return parser


def sweep(options: Any) -> bool:
    """Run a sweep.

    Args:
        options: the parsed options.

    Returns:
        Whether one of the trials that were to be run failed.

    Raises:
        DataError: an option or the sweep file cannot be used.
    """
    # Imported here, so that the help appears without waiting for torch.
    from interestlab.sweep import running
    from interestlab.sweep.display import Display
    from interestlab.sweep.engines import wandb
    from interestlab.sweep.spec import read
    from interestlab.sweep.trials import expand
    from interestlab.sweep.validation import check_trials, search_probes
    from interestlab.utils.atomic_files import write_text_atomic

    if options.workers < 1:
        raise DataError("--workers must be at least 1.")
    if options.trial and options.retry:
        raise DataError("--trial and --retry exclude each other; give one.")
    spec = read(options.file, assignments(options.set or []), seeds(options.seeds))
    folder = (options.out or Path("runs") / spec.name).resolve()
    if (folder / "config.yaml").exists():
        raise DataError(f"{folder} contains a run; give another --out.")
    studies = open_studies(spec, folder)
    trials = expand(spec, chosen_settings(studies) if spec.search else None)
    only = options.trial or options.retry
    selected = select(trials, folder, only)
    try:
        metrics = (*spec.metrics, spec.search.metric) if spec.search else spec.metrics
        check_trials(search_probes(spec) if spec.search else selected, metrics)
    except DataError as err:
        raise DataError(f"{options.file}: {err}") from err
    if options.dry_run:
        print_plan(spec, studies, selected, folder)
        return False
    folder.mkdir(parents=True, exist_ok=True)
    write_text_atomic(folder / "sweep.yaml", spec.dump())
    if options.retry:
        for trial in selected:
            running.forget(folder, trial.id)
    if studies and only in (None, "failed"):
        run_searches(studies, options.workers, retry=only == "failed")
        selected = trials = expand(spec, chosen_settings(studies))
    if trials:
        wandb.write(trials, folder)
    statuses = {trial.id: record.status for trial in selected if (record := running.read_record(folder, trial.id))}
    counts = {status: list(statuses.values()).count(status) for status in ("done", "failed")}
    with Display(len(selected), counts["done"], counts["failed"]) as display:
        engine = importlib.import_module(f"interestlab.sweep.engines.{options.engine}")
        engine.run([trial for trial in selected if trial.id not in statuses], folder, options.workers, display)
    write_page = not (options.no_report or options.trial)
    has_failed = report(spec, trials, selected, folder, studies, write_page=write_page)
    return has_failed or len(trials) < len(spec.combinations) * len(spec.seeds)


def open_studies(spec: "Spec", folder: Path) -> "list[Study]":
    """Return the search of each combination; none if the sweep has no search.

    Args:
        spec: the sweep.
        folder: folder of the sweep.

    Raises:
        DataError: Optuna is not installed.
    """
    if spec.search is None:
        return []
    try:
        from interestlab.sweep.search.study import Study
    except ModuleNotFoundError as err:
        if err.name != "optuna":
            raise
        raise DataError("the search of a sweep needs Optuna: pip install 'interestlab[search]'.") from err
    return [Study(spec, labels, folder) for labels in spec.combinations]


def chosen_settings(studies: "Sequence[Study]") -> "list[tuple[Mapping[str, str], Settings]]":
    """Return the combinations whose search is over, each with the best settings that it found.

    Args:
        studies: the search of each combination.
    """
    return [(study.labels, study.settings(best)) for study in studies if study.is_over() and (best := study.best())]


def run_searches(studies: "Sequence[Study]", workers: int, *, retry: bool) -> None:
    """Run the searches as processes of this machine.

    Args:
        studies: the search of each combination.
        workers: number of trials at a time.
        retry: run the failed trials again.
    """
    from interestlab.sweep.search.display import SearchDisplay
    from interestlab.sweep.search.run import run

    for study in studies if retry else ():
        study.retry_failed()
    with SearchDisplay(studies) as display:
        run(studies, workers, display)


def select(trials: "Sequence[Trial]", folder: Path, name: str | None) -> "Sequence[Trial]":
    """Return the trials that ``--trial`` or ``--retry`` names.

    Args:
        trials: all trials of the sweep.
        folder: folder of the sweep.
        name: an id, ``failed``, or None for all.

    Raises:
        DataError: there is no such trial.
    """
    from interestlab.sweep import running
    from interestlab.sweep.trials import find_trial

    if name == "failed":
        return [t for t in trials if (record := running.read_record(folder, t.id)) and record.status == "failed"]
    return [find_trial(trials, name)] if name else trials


def report(
    spec: "Spec",
    trials: "Sequence[Trial]",
    selected: "Sequence[Trial]",
    folder: Path,
    studies: "Sequence[Study]",
    *,
    write_page: bool,
) -> bool:
    """Write the table of results and the report, and print where they are.

    Args:
        spec: the sweep.
        trials: all trials of the sweep.
        selected: those that were to be run.
        folder: folder of the sweep.
        studies: the search of each combination; empty without a search.
        write_page: write the report too.

    Returns:
        Whether a selected trial failed.
    """
    import polars as pl
    from filelock import FileLock

    from interestlab.sweep import tracking
    from interestlab.sweep.table import results_table

    with FileLock(folder / "results.lock"):  # another process may end its part of the sweep at the same time
        results = results_table(spec, trials, folder)
        write_table(results, folder / "results.parquet")
        if studies:
            from interestlab.sweep.search.table import search_table

            write_table(search_table(studies), folder / "search.parquet")
        counts = [f"{count} {status}" for status, count in results["status"].value_counts().sort("status").iter_rows()]
        print(f"{', '.join(counts)}: {folder / 'results.parquet'}", file=sys.stderr)
        failed = results.filter(pl.col("trial").is_in([trial.id for trial in selected]), pl.col("status") == "failed")
        for trial, reason in failed.select("trial", "reason").iter_rows():
            print(f"failed: {trial}: {reason}", file=sys.stderr)
        if failed.height:
            print("--retry=failed runs those again.", file=sys.stderr)
        if write_page:
            from interestlab.sweep.report import write_report

            print(f"the report is {write_report(folder)}", file=sys.stderr)
            tracking.log_report(spec, folder)
    return bool(failed.height)


def write_table(table: "DataFrame", file: Path) -> None:
    """Write a table, so that another process sees the old one or the new one.

    Args:
        table: the table.
        file: its Parquet file.
    """
    from interestlab.utils.atomic_files import atomic_write

    with atomic_write(file, "wb") as part:
        table.write_parquet(part)


def print_plan(spec: "Spec", studies: "Sequence[Study]", trials: "Sequence[Trial]", folder: Path) -> None:
    """Print the searches, and the trials with their status.

    Args:
        spec: the sweep.
        studies: the search of each combination.
        trials: the trials to print.
        folder: folder of the sweep.
    """
    from rich.console import Console
    from rich.table import Table

    from interestlab.sweep.running import read_record

    if studies:
        from interestlab.sweep.search.display import print_searches

        print_searches(studies)
    rows = [(trial, read_record(folder, trial.id)) for trial in trials]
    lines = [(t.id, *t.labels.values(), str(t.seed), record.status if record else "missing") for t, record in rows]
    waiting = [study.labels for study in studies if not study.is_over()]
    lines += [("?", *labels.values(), str(seed), "after its search") for seed in spec.seeds for labels in waiting]
    table = Table("trial", *spec.axes, "seed", "status", title=f"{spec.name}: {len(lines)} trials in {folder}")
    for line in lines:
        table.add_row(*line)
    Console().print(table)


def assignments(texts: list[str]) -> dict[str, Any]:
    """Return the settings of ``--set``.

    Args:
        texts: each ``KEY=VALUE``, the value in YAML.

    Raises:
        DataError: one is not of that form.
    """
    import yaml

    from interestlab.config.safe_yaml import config_text

    settings = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise DataError(f"--set {text}: it must be KEY=VALUE.")
        try:
            settings[key.lstrip("-")] = config_text(value)
        except yaml.YAMLError as err:
            raise DataError(f"--set {text[:200]}: {' '.join(str(err).split())}") from err
    return settings


def seeds(text: str | None) -> list[int] | None:
    """Return the seeds of ``--seeds``.

    Args:
        text: numbers separated by commas.

    Raises:
        DataError: one is not a number.
    """
    try:
        return None if text is None else [int(part) for part in str(text).split(",")]
    except ValueError as err:
        raise DataError(f"--seeds={text}: give whole numbers separated by commas, such as 0,1,2.") from err
