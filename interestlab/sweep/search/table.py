"""The trials of all searches of a sweep as one table."""

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from interestlab.sweep.running import read_record
from interestlab.sweep.search.study import STATES, Study


def search_table(studies: Sequence[Study]) -> pl.DataFrame:
    """Collect the trials of all searches of a sweep.

    Args:
        studies: the search of each combination.

    Returns:
        One row per trial: ``trial``, ``axis/NAME``, ``number``, ``status`` (done, pruned, failed or running), ``reason``,
        ``value`` (the best validation), ``validations`` (their number), ``seconds``, ``settings`` as JSON, and ``chosen``.
    """
    rows = [row for study in studies for row in search_rows(study)]
    axes = {f"axis/{axis}": pl.String for axis in studies[0].spec.axes}
    texts = {"status": pl.String, "reason": pl.String}
    numbers = {"value": pl.Float64, "validations": pl.Int64, "seconds": pl.Float64}
    schema = {"trial": pl.String, **axes, "number": pl.Int64, **texts, **numbers, "settings": pl.String, "chosen": pl.Boolean}
    return pl.DataFrame(rows, schema=schema)


def search_rows(study: Study) -> list[dict[str, Any]]:
    """Return the rows of one search.

    Args:
        study: the search of a combination.
    """
    best, rows = study.best(), []
    for trial in study.trials():
        name = study.search_trial(trial).id
        record, values = read_record(study.folder, name), list(trial.intermediate_values.values())
        row: dict[str, Any] = {f"axis/{axis}": label for axis, label in study.labels.items()}
        row |= {"trial": name, "number": trial.number, "status": status(trial.state), "reason": record and record.reason}
        row |= {"value": study.best_of(values) if values else None, "validations": len(values)}
        row |= {"seconds": trial.user_attrs.get("seconds")}
        row["settings"] = json.dumps(study.settings(trial), ensure_ascii=False)
        rows.append(row | {"chosen": best is not None and trial.number == best.number})
    return rows


def status(state: Any) -> str:
    """Return the name of the state of a trial.

    Args:
        state: one of Optuna's states.
    """
    return next((name for name, other in STATES.items() if other is state), "running")


def count_states(study: Study) -> dict[str, int]:
    """Return the number of trials in each state.

    Args:
        study: the search of a combination.
    """
    states = [status(trial.state) for trial in study.trials()]
    return {name: states.count(name) for name in ("done", "pruned", "failed", "running")}
