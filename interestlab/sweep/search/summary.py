"""Summaries of the searches of a sweep for its report, read from ``search.parquet``, without Optuna."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from interestlab.reporting.labels import markdown_row
from interestlab.reporting.number_formats import MISSING, decimal


@dataclass(frozen=True)
class SearchSummary:
    """The search of one combination.

    Attributes:
        labels: label of each axis.
        metric: validation metric that was optimised.
        chosen: settings of the best trial; None if no trial is done.
        best: the best validation of that trial.
        found_in: its position among the trials, from 1.
        values: the best validation of each trial and whether it was pruned; failed trials have none.
        counts: number of trials by status.
        seconds: run time of all trials.
    """

    labels: Mapping[str, str]
    metric: str
    chosen: Mapping[str, Any] | None
    best: float | None
    found_in: int | None
    values: Sequence[tuple[float, bool]]
    counts: Mapping[str, int]
    seconds: float

    @property
    def trials(self) -> int:
        """Return the number of trials."""
        return sum(self.counts.values())

    @property
    def name(self) -> str:
        """Return its labels in one line, for plots."""
        return " · ".join(self.labels.values()) or "all"


def summarise_searches(folder: Path) -> list[SearchSummary]:
    """Summarise the searches of a sweep.

    Args:
        folder: folder of the sweep.

    Returns:
        One summary per combination whose search has begun; none if there is no ``search.parquet``.
    """
    file = folder / "search.parquet"
    if not file.exists():
        return []
    metric = yaml.safe_load((folder / "sweep.yaml").read_text("utf-8"))["search"].get("metric", "val/ndcg@10")
    trials = pl.read_parquet(file, glob=False)
    axes = [name for name in trials.columns if name.startswith("axis/")]
    parts = trials.partition_by(axes, maintain_order=True) if axes else [trials]
    return [summarise(part, axes, metric) for part in parts if part.height]


def summarise(trials: pl.DataFrame, axes: Sequence[str], metric: str) -> SearchSummary:
    """Summarise one search.

    Args:
        trials: rows of its trials.
        axes: columns of the axis labels.
        metric: validation metric that was optimised.
    """
    rows = trials.to_dicts()
    found_in = next((i for i, row in enumerate(rows, 1) if row["chosen"]), None)
    best = None if found_in is None else rows[found_in - 1]
    states = [row["status"] for row in rows]
    return SearchSummary(
        labels={axis.removeprefix("axis/"): rows[0][axis] for axis in axes},
        metric=metric,
        chosen=best and json.loads(best["settings"]),
        best=None if best is None else best["value"],
        found_in=found_in,
        values=[(row["value"], row["status"] == "pruned") for row in rows if row["value"] is not None],
        counts={status: states.count(status) for status in ("done", "pruned", "failed", "running")},
        seconds=sum(row["seconds"] or 0.0 for row in rows),
    )


def settings_text(settings: Mapping[str, Any], separator: str = ", ") -> str:
    """Return settings as text.

    Args:
        settings: options of ``fit`` and their values.
        separator: text between two settings.
    """
    values = {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in settings.items()
    }
    return separator.join(f"{key}={value}" for key, value in values.items())


def markdown_searches(searches: Sequence[SearchSummary]) -> str:
    """Return the searches as a Markdown table; nothing if there are none.

    Args:
        searches: the search of each combination.
    """
    if not searches:
        return ""
    heads = ["settings chosen", f"best {searches[0].metric}", "found in trial", "trials", "done", "pruned", "failed", "minutes"]
    rows = [[*searches[0].labels, *heads]]
    rows.append(["---"] * len(rows[0]))
    for s in searches:
        chosen = MISSING if s.chosen is None else settings_text(s.chosen)
        counts = [str(s.counts[status]) for status in ("done", "pruned", "failed")]
        cells = [chosen, decimal(s.best, 4), str(s.found_in or MISSING), str(s.trials), *counts, decimal(s.seconds / 60, 1)]
        rows.append([*s.labels.values(), *cells])
    return "\n" + "\n".join(markdown_row(row) for row in rows) + "\n"
