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
    r"""Measure how well trained models forecast users' interests, against baselines tuned with the same budget.

    A window is as long as the time after the training cut divided by ``count``. Windows are counted from the test cut in both
    directions, as many as fit completely (:func:`interestlab.drift.forecast.cases.windows`). A user with events both in a
    window and before it is a case: the forecaster predicts the shares q of the interests in the window from all earlier
    events. The loss of a user is the mean of ``-log q`` over the events of their windows, in nats, and skill is
    :math:`1 - L / L_{\mathrm{persistence}}` of the mean losses over users.

    Every forecast is mixed with the population's shares. Every forecaster is tuned by log-loss over 96 candidates, on the
    windows between the training cut and the test cut; all metrics are measured on the windows after the test cut.

    ==================  ======================================================================================
    forecaster          forecast
    ==================  ======================================================================================
    ``persistence``     the shares of the user's last active window
    ``mean``            the shares of the user's full past
    ``ewma``            the shares of the user's past with weights that halve every h events; h is tuned
    ``global``          the population's last window, with its trend; the strength of the trend is tuned
    ``model``           the shares that z implies, advanced to the beginning of the window; a temperature is tuned
    ``mixed``           a weighted mean of the model and the EWMA; the weight is tuned
    ==================  ======================================================================================

    ==================  ======================================================================================
    control             what is removed or shuffled
    ==================  ======================================================================================
    ``shuffled order``  the order of the events that the model reads; their times stay in place
    ``shuffled labels`` which window belongs to which user: tuning and test use targets that are permuted among the
                        users of a window; a window with a single user is left out
    ``random encoder``  what encoders, projections and fusion heads have learnt
    ``frozen``          all events after the training cut
    ==================  ======================================================================================

    ==================  ======================================================================================
    metric              definition
    ==================  ======================================================================================
    ``log_loss``        mean over users; ``log_loss_events``: mean over events
    ``skill``           against persistence; ``skill_events``: over events; ``skill_global``: against ``global``
    ``gain_NAME``       for a model: the loss of the baseline minus the loss of the model, in nats
    ``gain_own_mean``   with shuffled labels: the same against the mean of the model's forecasts over the cases of a window. A
                        model that does not know which window belongs to which user cannot be expected to beat this mean
                        (Jensen's inequality); it can beat the population of ``global``, with one forecast for all users
    ``loss_added``      for a control: its loss minus the loss of the model, in nats
    ``auprc``           average precision of detecting migrations (:func:`interestlab.drift.forecast.skill.score`); the score
                        is 1 - q of the interest that was largest; ``base_rate``: share of migrations, the AUPRC of a random
                        score
    ``skill_vector``    1 - MSE / MSE of persistence, for the mean vector of the window h windows ahead; for controls only
                        with h = 1, and not with shuffled labels
    ==================  ======================================================================================

    Intervals are 95% percentile bootstraps over users; all compared forecasters share the resampled users. If several seeds
    of a model are given, rows without a ``run`` contain the means of ``gain_*``, ``loss_added`` and ``skill*`` over the seeds.

    Args:
        runs: folders of finished fits on one log, split by ``global_time``.
        interests: defines the interests of a log from its training events.
        count: number of window lengths in the time after the training cut.
        horizons: horizons of ``skill_vector``, in windows.
        controls: names of the controls to run.
        least: smallest number of events with which a window counts as a migration or not.
        draws: number of bootstrap replicates.
        seed: seed of the bootstrap and of the controls.
        overrides: options of the data, as for :func:`interestlab.load`.

    Returns:
        ``run``, ``seed``, ``dynamics``, ``forecaster``, ``control`` (empty for none), ``metric``, ``horizon``, ``value``,
        ``low``, ``high``, ``users``, ``events``. Baselines have no ``run`` and no ``dynamics``. An undefined value is null.

    Raises:
        DataError: a run cannot be loaded, runs have different logs, a window has no cases, or a control is unknown.
        ValueError: a number is out of its range.
    """
    require_at_least(1, runs=len(runs), count=count, events=least, draws=draws, horizon=min(horizons, default=1))
    if unknown := [name for name in controls if name not in CONTROLS]:
        raise DataError(f"unknown control {', '.join(unknown)}; choose from {', '.join(CONTROLS)}.")
    bench: Bench | None = None
    rows: list[Row] = []
    members: dict[str, list[Measured]] = {}
    first_log: Mapping[str, Any] = {}
    for path in map(Path, runs):
        loaded = load(path, overrides=overrides)
        log = {key: loaded.data.fingerprint.get(key) for key in LOG_FINGERPRINT_KEYS}
        if bench is None:
            first_log = log
            shuffled_labels = SHUFFLED_LABELS in controls
            bench = Bench.from_data(loaded.data, interests, count, horizons, least, draws, seed, shuffled_labels)
            rows += bench.baseline_rows()
        elif different := [key for key in log if log[key] != first_log[key]]:
            raise DataError(
                f"{path} was trained on a different log than {runs[0]} ({', '.join(different)} differ); give runs of one log."
            )
        measured = bench.measure(ModelView.from_model(loaded.model, loaded.data), controls)
        spec = json.dumps(dict(loaded.model.hparams), sort_keys=True, default=str)
        members.setdefault(spec, []).append(replace(measured, run=str(path), seed=read_seed(path)))
    assert bench is not None
    names = name_models({spec: group[0].dynamics for spec, group in members.items()})
    for spec, group in members.items():
        rows += [row | {"dynamics": names[spec]} for one in group for row in bench.rows(one)]
        rows += [row | {"dynamics": names[spec]} for row in bench.mean_rows(group)]
    return pl.DataFrame(rows, SCHEMA).with_columns(pl.col("value", "low", "high").fill_nan(None))


def read_seed(run: Path) -> int | None:
    """Return the seed in a run's config; None if it has no fixed seed.

    Args:
        run: folder of the run.
    """
    seed = yaml.safe_load((run / "config.yaml").read_text("utf-8")).get("seed_everything")
    return None if seed is None or seed is True else int(seed)


def name_models(dynamics: Mapping[str, str]) -> dict[str, str]:
    """Name each model after its dynamics, with a number where models with the same dynamics differ in another setting.

    Args:
        dynamics: name of the dynamics of each model, by its spec.

    Returns:
        Distinct names by spec.
    """
    names: dict[str, str] = {}
    for spec, name in dynamics.items():
        earlier = sum(other == name or other.startswith(f"{name} ") for other in names.values())
        names[spec] = f"{name} {earlier + 1}" if earlier else name
    return names
