"""Forecast skill of trained models on real data, split by global time, with baselines and negative controls in one table."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from interestlab.data.datamodule import InterestData
from interestlab.drift.forecast.bench import CONTROLS, SHUFFLED_LABELS, Bench, Measurement, Row
from interestlab.drift.interests import Interests
from interestlab.drift.session_log import SessionLog
from interestlab.errors import DataError
from interestlab.inference.load import load
from interestlab.inference.trajectory import ModelView
from interestlab.training.open_run import LOG_FINGERPRINT_KEYS
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
    min_events: int = 3,
    draws: int = 1000,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> pl.DataFrame:
    r"""Measure how well trained models forecast users' interests, against baselines tuned with the same budget.

    The length of a window is the time after the training cut divided by ``count``. Complete windows are placed before and
    after the test cut (:func:`interestlab.drift.forecast.cases.place_windows`). A user with events both in a window and before
    it is a case: the shares q of the interests in the window are forecast from all earlier events. The loss of a user is the
    mean of ``-log q`` over the events of their windows, in nats, and skill is :math:`1 - L / L_{\mathrm{persistence}}` of the
    mean losses over users.

    Every forecast is mixed with the population's shares. Each forecaster is tuned by log-loss over 96 candidates on the windows
    between the training cut and the test cut. All metrics are measured on the windows after the test cut.

    ==================  ======================================================================================
    forecaster          forecast
    ==================  ======================================================================================
    ``persistence``     the shares of the user's last active window
    ``mean``            the shares of all past events of the user
    ``ewma``            the shares of the past events with weights that halve every h events; h is tuned
    ``global``          the population's last window, with its trend, the strength of which is tuned
    ``model``           the shares that z implies, advanced to the start of the window; the temperature is tuned
    ``mixed``           the weighted mean of the model and the EWMA; the weight is tuned
    ==================  ======================================================================================

    ==================  ======================================================================================
    control             change
    ==================  ======================================================================================
    ``shuffled order``  the model reads the events in a random order, at the original times
    ``shuffled labels`` targets are permuted among the users of a window, both in tuning and in testing; a window
                        with one user is omitted
    ``random encoder``  the weights of encoders, projections and fusion are shuffled
    ``frozen``          the model reads no event after the training cut
    ==================  ======================================================================================

    ==================  ======================================================================================
    metric              meaning
    ==================  ======================================================================================
    ``log_loss``        mean over users; ``log_loss_events``: mean over events
    ``skill``           against persistence, over users; ``skill_events``: over events; ``skill_global``: against ``global``
    ``gain_NAME``       loss of the baseline minus loss of the model, in nats
    ``gain_own_mean``   with shuffled labels: loss of the model's mean forecast over the cases of a window minus loss of the
                        model. A model that does not know the permutation cannot be expected to beat its own mean
                        (Jensen's inequality), though it can beat ``global`` with one forecast for all users
    ``loss_added``      loss under a control minus loss of the model, in nats
    ``auprc``           average precision of migrations (:func:`interestlab.drift.forecast.skill.score`), ranked by
                        1 - q of the interest that was largest; ``base_rate``: the share of migrations
    ``skill_vector``    1 - MSE / MSE of persistence, of the mean vector of the window h windows ahead; controls have
                        it for h = 1 only, and shuffled labels not at all
    ==================  ======================================================================================

    Intervals are 95% percentile bootstraps over users; all forecasters share the samples. If several runs differ only in their
    seed, rows without a ``run`` contain the mean of ``gain_*``, ``loss_added`` and ``skill*`` over these runs.

    Args:
        runs: folders of finished fits over one log, split by ``global_time``.
        interests: function from data and log to the interests, which it defines by training events only.
        count: number of windows that fill the time after the training cut.
        horizons: numbers of windows ahead for ``skill_vector``.
        controls: names of the controls to run.
        min_events: smallest number of events of a window that can show a migration.
        draws: number of bootstrap samples.
        seed: random seed of the bootstrap and of the controls.
        overrides: data options, as for :func:`interestlab.load`.

    Returns:
        ``run``, ``seed``, ``dynamics``, ``forecaster``, ``control`` (empty for none), ``metric``, ``horizon``, ``value``,
        ``low``, ``high``, ``users``, ``events``. Baselines have no ``run`` and no ``dynamics``. Undefined values are null.

    Raises:
        DataError: a run cannot be loaded, runs differ in their log, no window has a case, or a control is unknown.
        ValueError: a number is out of its range.
    """
    require_at_least(1, runs=len(runs), count=count, min_events=min_events, draws=draws, horizon=min(horizons, default=1))
    if unknown := [name for name in controls if name not in CONTROLS]:
        raise DataError(f"unknown control {', '.join(unknown)}; choose from {', '.join(CONTROLS)}.")
    bench: Bench | None = None
    rows: list[Row] = []
    members: dict[str, list[Measurement]] = {}
    first_log: Mapping[str, Any] = {}
    for path in map(Path, runs):
        recommender = load(path, overrides=overrides)
        log = {key: recommender.data.fingerprint.get(key) for key in LOG_FINGERPRINT_KEYS}
        if bench is None:
            first_log = log
            shuffled_labels = SHUFFLED_LABELS in controls
            bench = Bench.build(recommender.data, interests, count, horizons, min_events, draws, seed, shuffled_labels)
            rows += bench.baseline_rows()
        elif different := [key for key in log if log[key] != first_log[key]]:
            raise DataError(f"{path} is of another log than {runs[0]} ({', '.join(different)} differ); give runs of one log.")
        measurement = bench.measure(ModelView.from_model(recommender.model, recommender.data), controls)
        spec = json.dumps(dict(recommender.model.hparams), sort_keys=True, default=str)
        members.setdefault(spec, []).append(replace(measurement, run=str(path), seed=read_seed(path)))
    assert bench is not None
    names = name_models({spec: group[0].dynamics for spec, group in members.items()})
    for spec, group in members.items():
        rows += [row | {"dynamics": names[spec]} for measurement in group for row in bench.rows(measurement)]
        rows += [row | {"dynamics": names[spec]} for row in bench.mean_rows(group)]
    return pl.DataFrame(rows, SCHEMA).with_columns(pl.col("value", "low", "high").fill_nan(None))


def read_seed(run: Path) -> int | None:
    """Read the random seed of a run from its config.

    Args:
        run: folder of the run.

    Returns:
        The seed; None if the run was not seeded.
    """
    seed = yaml.safe_load((run / "config.yaml").read_text("utf-8")).get("seed_everything")
    return None if seed is None or seed is True else int(seed)


def name_models(dynamics: Mapping[str, str]) -> dict[str, str]:
    """Name each model after its dynamics, with a number for further models of the same dynamics.

    Args:
        dynamics: name of the dynamics of each model, by the spec of the model.

    Returns:
        The name of each model, by its spec.
    """
    names: dict[str, str] = {}
    for spec, name in dynamics.items():
        same = sum(other == name or other.startswith(f"{name} ") for other in names.values())
        names[spec] = f"{name} {same + 1}" if same else name
    return names
