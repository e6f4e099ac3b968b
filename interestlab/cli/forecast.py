"""``interestlab drift forecast RUN...``: how well runs foresee where interests go, beside baselines and negative controls."""

from pathlib import Path

import polars as pl
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from interestlab.cli.data import only
from interestlab.cli.drift import ENCODER, now, overrides, unused, vectors_of
from interestlab.config import plugin_names
from interestlab.contract import Encoder
from interestlab.data.datamodule import InterestData
from interestlab.drift.forecast import forecast, verdict
from interestlab.drift.interests import Interests, build_interests
from interestlab.drift.session_log import SessionLog
from interestlab.drift.settings import Settings
from interestlab.errors import DataError
from interestlab.utils.argument_checks import require_at_least

SHOWN = {
    "log_loss": "log-loss",
    "skill": "skill",
    "auprc": "AUPRC",
    "base_rate": "base rate",
    "skill_vector": "vector",
}
"""Metrics that are printed; the file has all."""


def forecasts(args: list[str]) -> None:
    """Measure the forecasts of runs, and say which dynamics is drift-aware."""
    moved, others = overrides(args)
    made = ArgumentParser(
        "interestlab drift forecast",
        description="How well runs foresee what users turn to: runs of one log, split by global_time; several seeds of each.",
    )
    made.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a finished fit")
    made.add_argument("-c", "--config", action="config", help="a config; its drift and encoder are read")
    made.add_argument("--out", type=Path | None, help="folder to write; default runs/TIME-forecast")
    made.add_argument("--windows", type=int, default=6, help="windows that fill the time after the training cut (default 6)")
    made.add_argument("--horizons", type=list[int], default=[1, 2, 4], help="windows ahead (default [1, 2, 4])")
    made.add_argument("--encoder", type=Encoder | None, help=ENCODER)
    made.add_class_arguments(Settings, "drift")
    told = made.instantiate(made.parse_args(plugin_names.ordered(only(others, "drift", "encoder"))))
    settings: Settings = told.drift
    out: Path = told.out or now("forecast")
    unused(out)
    try:
        require_at_least(1, windows=told.windows, horizons=min(told.horizons, default=1))
    except ValueError as err:
        raise DataError(f"--{err}.") from err

    def interests(data: InterestData, of: SessionLog) -> Interests:
        return build_interests(of, vectors_of(data, of, settings, told.encoder)[0], settings)

    table = forecast(told.runs, interests, count=told.windows, horizons=told.horizons, seed=settings.seed, overrides=moved)
    rule = verdict(table)
    out.mkdir(parents=True, exist_ok=True)
    table.write_parquet(out / "forecast.parquet")
    rule.write_parquet(out / "verdict.parquet")
    (out / "table.md").write_text(markdown(table), "utf-8")
    tell(table, rule)
    print(f"forecast.parquet, verdict.parquet and table.md are in {out}")


def means(table: pl.DataFrame) -> pl.DataFrame:
    """A row a forecaster and control, the metrics that are shown in columns, means over the runs."""
    named = (
        table.filter(pl.col("metric").is_in(list(SHOWN)) & ((pl.col("run").is_not_null()) | pl.col("dynamics").is_null()))
        .with_columns(
            who=pl.coalesce(
                pl.col("dynamics")
                + " model"
                + pl.when(pl.col("forecaster") == "mixed").then(pl.lit(" + ewma")).otherwise(pl.lit("")),
                "forecaster",
            ),
            what=pl.when(pl.col("metric") == "skill_vector")
            .then(pl.lit("vector +") + pl.col("horizon").cast(pl.String))
            .otherwise(pl.col("metric").replace(SHOWN)),
        )
        .group_by("who", "control", "what", maintain_order=True)
        .agg(pl.col("value").mean())
    )
    return named.rename({"who": "model or baseline"}).pivot("what", index=["model or baseline", "control"], values="value")


def markdown(table: pl.DataFrame) -> str:
    """The table as Markdown."""
    shown = means(table)
    lines = ["| " + " | ".join(shown.columns) + " |", "| " + " | ".join("---" for _ in shown.columns) + " |"]
    lines += ["| " + " | ".join(written(cell) for cell in row) + " |" for row in shown.iter_rows()]
    return "\n".join(lines) + "\n"


def written(cell: object) -> str:
    """A cell: a number to three digits, nothing where there is none."""
    return "" if cell is None else f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def tell(table: pl.DataFrame, rule: pl.DataFrame) -> None:
    """Print the table, and what the rule says of each dynamics."""
    shown, console = means(table), Console()
    printed = Table(*shown.columns, title="forecasts, means over the runs of each dynamics")
    for row in shown.iter_rows():
        printed.add_row(*(written(cell) for cell in row))
    console.print(printed)
    for name, passed, reason in (
        rule.filter(pl.col("criterion") == "drift-aware").select("dynamics", "passed", "reason").iter_rows()
    ):
        console.print(f"{name}: {'[green]drift-aware[/]' if passed else 'not drift-aware'}: {reason}")
