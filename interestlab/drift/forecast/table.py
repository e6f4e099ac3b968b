"""Forecast skill of trained models on real data, split by global time, with baselines and negative controls in one table."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from interestlab.data.datamodule import InterestData
from interestlab.drift.forecast.bench import CONTROLS, SHUFFLED_LABELS, Bench, Measured, Row
from interestlab.drift.interests import Interests
from interestlab.drift.model.trajectory import ModelView
from interestlab.drift.session_log import SessionLog
from interestlab.errors import DataError
from interestlab.inference.load import LOG_FINGERPRINT_KEYS, load
from interestlab.utils.argument_checks import require_at_least

SCHEMA = {
    "run": pl.String(),
    "seed": pl.Int64(),
    "dynamics": pl.String(),
    "forecaster": pl.String(),
    "control": pl.String(),
    "metric": pl.String(),
    "horizon": pl.Int64(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "users": pl.Int64(),
    "events": pl.Int64(),
}


def forecast(
    runs: Sequence[str | Path],
    interests: Callable[[InterestData, SessionLog], Interests],
    count: int = 6,
    horizons: Sequence[int] = (1, 2, 4),
    controls: Sequence[str] = CONTROLS,
    least: int = 3,
    draws: int = 1000,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> pl.DataFrame:
    r"""How well trained models say what users will turn to, beside baselines that are tuned with the same budget.

    The time after the training cut, divided by ``count``, is the length of the windows; they are laid from the test cut in both
    directions, as many as fit whole (:func:`interestlab.drift.forecast.cases.windows`). Whoever is active in a window and was
    so before it is a case: from all that came before, the shares q of the interests in the window are said. The loss of a user
    is the mean of ``-log q`` over the events of their windows, in nats, and skill is
    :math:`1 - L / L_{\mathrm{persistence}}` of the mean losses over users.

    Every forecaster has the population's shares mixed in, and is tuned by log-loss over 96 candidates on the windows between
    the training and the test cut; everything in the table is measured on those after the test cut.

    ==================  ======================================================================================
    forecaster          what it says
    ==================  ======================================================================================
    ``persistence``     the shares of the user's last active window
    ``mean``            those of the user's whole past
    ``ewma``            those of the past with weights that halve every h events, h tuned
    ``global``          the population's last window, with its trend, the strength of which is tuned
    ``model``           the shares that z implies, drifted to the window's beginning, its temperature tuned
    ``mixed``           the model and the EWMA, the weights tuned
    ==================  ======================================================================================

    ==================  ======================================================================================
    control             what is taken from the model
    ==================  ======================================================================================
    ``shuffled order``  the order of the events that it reads; the times stay where they are
    ``shuffled labels`` whose window is whose: tuned and tested on targets exchanged among the users of a window;
                        a window of one user is left out
    ``random encoder``  what encoders, projections and fusion have learnt
    ``frozen``          all events after the training cut
    ==================  ======================================================================================

    ==================  ======================================================================================
    metric              what it is
    ==================  ======================================================================================
    ``log_loss``        mean over users; ``log_loss_events``: over events
    ``skill``           against persistence; ``skill_events``, over events; ``skill_global``, against ``global``
    ``gain_NAME``       of the model: the baseline's loss minus the model's, in nats
    ``gain_own_mean``   with shuffled labels: the same against the mean of the model's forecasts over the cases of a window. A
                        model that does not know whose window it is cannot be expected to beat it (Jensen's inequality); the
                        population of ``global`` it can, with the same forecast for all
    ``loss_added``      of a control: its loss minus the model's, in nats
    ``auprc``           average precision in telling migrations (:func:`interestlab.drift.forecast.skill.score`); the score is
                        1 - q of the interest that was largest; ``base_rate``: their share, what chance reaches
    ``skill_vector``    1 - MSE / MSE of persistence for the mean vector of the window h windows ahead; controls are told
                        for the next window alone, and shuffled labels for none
    ==================  ======================================================================================

    Intervals are 95% percentile bootstraps over users, which are drawn alike for all that is compared. Where several seeds of
    one model are given, rows without a ``run`` hold the mean of ``gain_*``, ``loss_added`` and ``skill*`` over them, the
    users drawn alike in each.

    Args:
        runs: folders of finished fits over one log, split by ``global_time``.
        interests: makes the interests of a log and its log, from its training events.
        count: windows that would fill the time after the training cut.
        horizons: of ``skill_vector``, in windows.
        controls: which are run.
        least: events that a window needs to tell whether the user migrated.
        draws: of the bootstrap.
        seed: of all that is drawn.
        overrides: options of the data, as for :func:`interestlab.load`.

    Returns:
        ``run``, ``seed``, ``dynamics``, ``forecaster``, ``control`` (empty for none), ``metric``, ``horizon``, ``value``,
        ``low``, ``high``, ``users``, ``events``. Baselines have no ``run`` and no ``dynamics``. What cannot be told is null.

    Raises:
        DataError: a run cannot be loaded, runs are of different logs, a window holds no one, or a control is not known.
        ValueError: a number is out of its range.
    """
    require_at_least(1, runs=len(runs), count=count, events=least, draws=draws, horizon=min(horizons, default=1))
    if unknown := [name for name in controls if name not in CONTROLS]:
        raise DataError(f"no control is called {', '.join(unknown)}; there are {', '.join(CONTROLS)}.")
    bench: Bench | None = None
    rows: list[Row] = []
    members: dict[str, list[Measured]] = {}
    prints: Mapping[str, Any] = {}
    for path in map(Path, runs):
        found = load(path, overrides=overrides)
        of_log = {key: found.data.fingerprint.get(key) for key in LOG_FINGERPRINT_KEYS}
        if bench is None:
            bench, prints = (
                Bench.over(found.data, interests, count, horizons, least, draws, seed, SHUFFLED_LABELS in controls),
                of_log,
            )
            rows += bench.baseline_rows()
        elif other := [key for key in of_log if of_log[key] != prints[key]]:
            raise DataError(f"{path} is of another log than {runs[0]} ({', '.join(other)} differ); give runs of one log.")
        measured = bench.measure(ModelView.from_model(found.model, found.data), controls)
        spec = json.dumps(dict(found.model.hparams), sort_keys=True, default=str)
        members.setdefault(spec, []).append(replace(measured, run=str(path), seed=seed_of(path)))
    assert bench is not None
    names = named({spec: found[0].dynamics for spec, found in members.items()})
    for spec, group in members.items():
        rows += [row | {"dynamics": names[spec]} for one in group for row in bench.rows(one)]
        rows += [row | {"dynamics": names[spec]} for row in bench.mean_rows(group)]
    return pl.DataFrame(rows, SCHEMA).with_columns(pl.col("value", "low", "high").fill_nan(None))


def seed_of(run: Path) -> int | None:
    """What a run was seeded with."""
    told = yaml.safe_load((run / "config.yaml").read_text("utf-8")).get("seed_everything")
    return None if told is None or told is True else int(told)


def named(dynamics: Mapping[str, str]) -> dict[str, str]:
    """A name for each model: that of its dynamics, with a number where two differ in something else."""
    out: dict[str, str] = {}
    for spec, name in dynamics.items():
        many = sum(other == name or other.startswith(f"{name} ") for other in out.values())
        out[spec] = f"{name} {many + 1}" if many else name
    return out
