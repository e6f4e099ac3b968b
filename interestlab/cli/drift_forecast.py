"""Measure how well runs forecast users' interests, against baselines and negative controls."""

from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table

from interestlab.config.arguments import extract
from interestlab.config.parser import CommandParser
from interestlab.contract import Encoder
from interestlab.data.datamodule import InterestData
from interestlab.drift.forecast import forecast, verdict
from interestlab.drift.interests import Interests, build_interests
from interestlab.drift.item_vectors import ENCODER_HELP, item_vectors
from interestlab.drift.session_log import SessionLog
from interestlab.drift.settings import Settings
from interestlab.errors import DataError
from interestlab.utils.argument_checks import require_at_least
from interestlab.utils.output_folders import default_folder, refuse_used

DESCRIPTION = """Measure how well runs forecast users' interests. All runs need the same log, split by global_time; give several
seeds of each model."""

PRINTED_METRICS = {
    "log_loss": "log-loss",
    "skill": "skill",
    "auprc": "AUPRC",
    "base_rate": "base rate",
    "skill_vector": "vector",
}
"""Titles of the printed metrics; the Parquet file has all metrics."""


def run(args: list[str]) -> None:
    """Measure the forecasts of runs, and decide which dynamics are drift-aware.

    Args:
        args: the folders of the runs, and the options.

    Raises:
        DataError: an option is out of range, or a run cannot be used.
    """
    data_options, rest = extract(args, prefix="--data.")
    parser = CommandParser("interestlab drift forecast", description=DESCRIPTION, config_keys=("drift", "encoder"))
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a finished fit")
    parser.add_argument("-c", "--config", action="config", help="a config file; only its drift and encoder keys are read")
    parser.add_argument("--out", type=Path | None, help="folder to write (default runs/TIME-forecast)")
    parser.add_argument("--windows", type=int, default=6, help="number of windows after the training cut")
    parser.add_argument("--horizons", type=list[int], default=[1, 2, 4], help="numbers of windows to predict ahead")
    parser.add_plugin_argument("--encoder", Encoder | None, ENCODER_HELP)
    parser.add_class_arguments(Settings, "drift")
    options = parser.instantiate(parser.parse_args(rest))
    settings: Settings = options.drift
    out: Path = options.out or default_folder("forecast")
    refuse_used(out)
    try:
        require_at_least(1, windows=options.windows, horizons=min(options.horizons, default=1))
    except ValueError as err:
        raise DataError(f"--{err}.") from err

    def interests(data: InterestData, events: SessionLog) -> Interests:
        return build_interests(events, item_vectors(data, events, settings, options.encoder)[0], settings)

    table = forecast(
        options.runs,
        interests,
        count=options.windows,
        horizons=options.horizons,
        seed=settings.seed,
        overrides=[f"{option}={value}" for option, value in data_options],
    )
    decisions = verdict(table)
    out.mkdir(parents=True, exist_ok=True)
    table.write_parquet(out / "forecast.parquet")
    decisions.write_parquet(out / "verdict.parquet")
    (out / "table.md").write_text(markdown(table), "utf-8")
    print_summary(table, decisions)
    print(f"forecast.parquet, verdict.parquet and table.md are in {out}")


def means(table: pl.DataFrame) -> pl.DataFrame:
    """Return the printed metrics, means over the runs.

    Args:
        table: table of the forecasts.

    Returns:
        One row per forecaster and control, one column per metric.
    """
    named = (
        table.filter(
            pl.col("metric").is_in(list(PRINTED_METRICS)) & ((pl.col("run").is_not_null()) | pl.col("dynamics").is_null())
        )
        .with_columns(
            who=pl.coalesce(
                pl.col("dynamics")
                + " model"
                + pl.when(pl.col("forecaster") == "mixed").then(pl.lit(" + ewma")).otherwise(pl.lit("")),
                "forecaster",
            ),
            what=pl.when(pl.col("metric") == "skill_vector")
            .then(pl.lit("vector +") + pl.col("horizon").cast(pl.String))
            .otherwise(pl.col("metric").replace(PRINTED_METRICS)),
        )
        .group_by("who", "control", "what", maintain_order=True)
        .agg(pl.col("value").mean())
    )
    return named.rename({"who": "model or baseline"}).pivot("what", index=["model or baseline", "control"], values="value")


def markdown(table: pl.DataFrame) -> str:
    """Return the printed metrics as a Markdown table.

    Args:
        table: table of the forecasts.
    """
    shown = means(table)
    lines = ["| " + " | ".join(shown.columns) + " |", "| " + " | ".join("---" for _ in shown.columns) + " |"]
    lines += ["| " + " | ".join(format_cell(cell) for cell in row) + " |" for row in shown.iter_rows()]
    return "\n".join(lines) + "\n"


def format_cell(cell: object) -> str:
    """Return a cell as text: a number with three decimals, nothing for None.

    Args:
        cell: its value.
    """
    return "" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def print_summary(table: pl.DataFrame, decisions: pl.DataFrame) -> None:
    """Print the metrics, and whether each dynamics is drift-aware.

    Args:
        table: table of the forecasts.
        decisions: result of :func:`interestlab.drift.forecast.verdict`.
    """
    shown, console = means(table), Console()
    printed = Table(*shown.columns, title="forecasts, means over the runs of each dynamics")
    for row in shown.iter_rows():
        printed.add_row(*(format_cell(cell) for cell in row))
    console.print(printed)
    final = decisions.filter(pl.col("criterion") == "drift-aware")
    for name, passed, reason in final.select("dynamics", "passed", "reason").iter_rows():
        console.print(f"{name}: {'[green]drift-aware[/]' if passed else 'not drift-aware'}: {reason}")
