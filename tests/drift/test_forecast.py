"""Forecast skill, its baselines and its controls."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab import load
from interestlab.drift.forecast import forecast
from interestlab.drift.forecast.bench import CONTROLS, FROZEN, RANDOM_ENCODER, SHUFFLED_LABELS, SHUFFLED_ORDER, exchange_targets
from interestlab.drift.forecast.cases import InterestEvents, build_cases, collect_events, place_windows
from interestlab.drift.forecast.controls import random_encoder
from interestlab.drift.forecast.forecasters import (
    BASELINES,
    Averaged,
    Ewma,
    Global,
    Mean,
    Model,
    Persistence,
    Tuned,
    mixing_weights,
)
from interestlab.drift.forecast.skill import score, squared_error, tune
from interestlab.drift.forecast.table import SCHEMA
from interestlab.drift.forecast.verdict import BEATS, verdict
from interestlab.drift.interests import Interests, taxonomy_interests
from interestlab.drift.session_log import build_session_log
from interestlab.errors import DataError
from interestlab.inference.trajectory import ModelView
from interestlab.stats.bootstrap import ClusterBootstrap

DATA_OPTIONS = [
    "--data.source.users=150",
    "--data.source.items=64",
    "--data.source.events=30",
    "--data.max_history=40",
    "--data.batch_events=512",
]
TIME_SPLIT = ["--data.split=global_time", "--data.split_quantiles=[0.6,0.75]"]
CACHE = {}


@pytest.fixture
def run(fit, tmp_path_factory):
    """Return a function that gives the folder of a small run with a dynamics and a seed."""

    def run_folder(dynamics="ewma", seed=0, *options):
        key = (dynamics, seed, *options)
        if key not in CACHE:
            CACHE[key] = tmp_path_factory.mktemp("run") / f"{dynamics}-{seed}"
            arguments = [
                *DATA_OPTIONS,
                *([*options, "--data.batch_events=8192"] if options else TIME_SPLIT),
                "--model.encoder=id",
                "--model.dim=16",
                f"--model.dynamics={dynamics}",
            ]
            fit(
                *arguments,
                f"--seed_everything={seed}",
                "--test_after_fit=false",
                steps=1 if options else 12,
                folder=str(CACHE[key]),
            )
        return CACHE[key]

    return run_folder


def make_interests(data, session_log):
    return taxonomy_interests(
        session_log, np.random.default_rng(0).normal(size=(session_log.items.height, 5)).astype(np.float32)
    )


@pytest.fixture
def table(run):
    """Forecasts of runs with two dynamics and two seeds, with all controls."""
    if "table" not in CACHE:
        runs = [run("ewma", 0), run("ewma", 1), run("multi_interest", 0)]
        CACHE["table"] = forecast(runs, make_interests, horizons=(1, 2), draws=20)
    return CACHE["table"]


@pytest.fixture
def bench(run):
    """A loaded run, its windows, and the cases for tuning and for testing."""
    loaded = load(run())
    windows = place_windows(loaded.data, 6)
    events = collect_events(loaded.data, make_interests(loaded.data, build_session_log(loaded.data.log)), windows)
    tuning, testing = (
        [build_cases(events, window, 1) for window in indices] for indices in (range(windows.first, 0), range(windows.stop))
    )
    return loaded, windows, tuning, testing


def make_events(events, count=3):
    """Interest events from ``(user, interest, window)``, over a catalogue with two items per interest."""
    user, interest, window = (np.array(column) for column in zip(*sorted(events, key=lambda e: (e[0], e[2])), strict=True))
    item = interest * 2 + np.arange(len(user)) % 2
    vectors = np.arange(count * 4, dtype=np.float32).reshape(-1, 2)
    interests = Interests([*"abc"][:count], np.arange(count * 2) // 2, [], np.zeros(count * 2, int), vectors, "")
    offsets = np.searchsorted(user, np.arange(user.max() + 2))
    return InterestEvents(interests, user, item, interest, window, offsets)


# ---- windows and cases


def test_windows_start_at_the_test_boundary_and_earlier_ones_follow_training(run):
    data = load(run()).data
    windows = place_windows(data, 6)
    times = np.asarray(data.log.time)
    valid, test = np.quantile(times, data.preparation.split_quantiles, method="higher")
    assert windows.begin(0) == test
    assert valid <= windows.begin(windows.first) < windows.begin(0)
    assert windows.begin(windows.stop) <= times.max() + 1
    assert 5 <= windows.stop - windows.first <= 6
    assert windows.length * 6 == pytest.approx(times.max() + 1 - valid)


def test_a_case_has_the_events_before_the_window_and_the_targets_in_it():
    events = [(0, 0, -3), (0, 1, -1), (0, 1, -1), (0, 2, 0), (0, 0, 1), (1, 2, -2), (2, 0, 0), (3, 1, -1), (3, 1, 0), (3, 2, 0)]
    cases = build_cases(make_events(events), 0, 1)
    assert cases.users.tolist() == [0, 3]  # user 1 has no event in the window, and user 2 none before it
    assert cases.age[cases.case == 0].tolist() == [2, 1, 0]
    assert cases.counts.tolist() == [[0, 0, 1], [0, 1, 1]]
    shares = {forecaster.name: next(forecaster.shares(cases, [1.0])) for forecaster in (Persistence(), Mean(), Ewma())}
    np.testing.assert_allclose(shares["persistence"], [[0, 1, 0], [0, 1, 0]])
    np.testing.assert_allclose(shares["mean"], [[1 / 3, 2 / 3, 0], [0, 1, 0]])
    np.testing.assert_allclose(shares["ewma"], [[1 / 7, 6 / 7, 0], [0, 1, 0]])
    assert build_cases(make_events(events), 1, 2).users.tolist() == [0]
    assert build_cases(make_events(events), 1, 2).age.tolist() == [2, 1, 0]  # window 0 is not yet known


def test_global_extrapolates_the_trend_of_the_population():
    events = [(0, 0, -2), (0, 0, -2), (1, 1, -2), (0, 0, -1), (1, 1, -1), (1, 1, -1), (0, 0, 0), (1, 1, 0)]
    cases = build_cases(make_events(events, 2), 0, 1)
    flat, rising = (q[0] for q in Global().shares(cases, [0.0, 1.0]))
    np.testing.assert_allclose(flat, [1.5 / 4, 2.5 / 4])
    ratio = np.array([1.5 / 2.5, 2.5 / 1.5])
    np.testing.assert_allclose(rising, flat * ratio / (flat * ratio).sum())


def test_expected_vectors_use_the_users_own_items_or_else_those_of_the_interest():
    events = [(0, 0, -2), (0, 1, -1), (0, 2, 0), (1, 1, -1), (1, 1, 0)]
    interest_events = make_events(events)
    cases = build_cases(interest_events, 0, 1)
    vectors, item = interest_events.interests.vectors, interest_events.item
    shares = np.array([[0.5, 0.25, 0.25], [0, 1, 0]])
    expected = 0.5 * vectors[item[0]] + 0.25 * vectors[item[1]] + 0.25 * vectors[4:].mean(0)
    np.testing.assert_allclose(cases.own_vector(shares), [expected, vectors[item[3]]], rtol=1e-6)
    np.testing.assert_allclose(Persistence().vector(cases, Tuned(0, 0.5))[0], vectors[item[1]])
    np.testing.assert_allclose(cases.target_vector, vectors[item[[2, 4]]])
    errors = np.square(vectors[item[[1, 3]]] - vectors[item[[2, 4]]]).sum(1)
    np.testing.assert_allclose(squared_error(Persistence(), Tuned(0, 0.5), [cases]), errors)


def test_all_forecasters_are_tuned_over_equally_many_candidates():
    assert {len(mixing_weights(forecaster)) * len(forecaster.settings) for forecaster in BASELINES} == {96}
    assert len(mixing_weights(Model.__new__(Model))) * len(Model.settings) == 96
    assert all(mixing_weights(forecaster).min() > 0 for forecaster in BASELINES)


# ---- scores


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_tuning_minimises_the_loss_and_exchanging_preserves_the_targets(seed):
    rng = np.random.default_rng(seed)
    events = [(int(u), int(rng.integers(3)), int(rng.integers(-4, 2))) for u in rng.integers(8, size=80)]
    cases = build_cases(make_events(events), 0, 1)
    if not len(cases):
        return
    for forecaster in BASELINES:
        tuned = tune(forecaster, [cases])
        scores = score(forecaster, tuned, [cases], 1)
        best = (scores.loss / scores.events).mean()
        for setting in forecaster.settings:
            for mix in mixing_weights(forecaster)[::5]:
                other = score(forecaster, Tuned(setting, mix), [cases], 1)
                assert best <= (other.loss / other.events).mean() + 1e-12
    other = cases.exchange_targets(seed)
    np.testing.assert_array_equal(np.sort(other.events), np.sort(cases.events))
    np.testing.assert_array_equal(other.counts[other.target_index].sum(0), cases.counts.sum(0))


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_no_forecast_beats_its_own_mean_over_all_exchanges(seed):
    """This holds even for a forecast that knows the users or the population of all times; `global` cannot guarantee it."""
    rng = np.random.default_rng(seed)
    cases = build_cases(
        make_events([(int(u), int(rng.integers(3)), int(rng.integers(-4, 1))) for u in rng.integers(8, size=80)]), 0, 1
    )
    rotations = [replace(cases, target_index=np.roll(np.arange(len(cases)), rotation)) for rotation in range(len(cases))]
    for forecaster in BASELINES:
        tuned = Tuned(forecaster.settings[-1], 0.05)

        def loss(candidate, candidate_tuning, rotations=rotations):
            scores = [score(candidate, candidate_tuning, [rotation], 1) for rotation in rotations]
            return np.mean([result.loss / result.events for result in scores])

        loss_of_mean = loss(Averaged(forecaster, tuned), Tuned(0, 0))
        assert loss_of_mean <= loss(forecaster, tuned) + 1e-12
        if forecaster.name == "global":
            assert loss_of_mean == pytest.approx(loss(forecaster, tuned))


def test_a_migration_is_a_change_of_the_largest_interest():
    events = [(0, 0, -2), (0, 0, -1), (0, 1, -1), (0, 0, 0), (0, 1, 0), (1, 0, -1), (1, 1, 0), (1, 1, 0), (2, 0, -1), (2, 1, 0)]
    scores = score(Mean(), Tuned(0, 0.01), [build_cases(make_events(events), 0, 1)], 2)
    assert scores.moved.tolist() == [False, True, True]  # the first is a tie, which is not a migration
    assert scores.judged.tolist() == [True, True, False]


# ---- models and controls


def test_the_model_equals_the_frozen_one_without_later_events(bench):
    loaded, windows, tuning, testing = bench
    view = ModelView.from_model(loaded.model, loaded.data)
    model, frozen = Model(view, windows), Model(view, windows, frozen=True)
    num_equal = 0
    for cases in [*tuning, *testing]:
        model_shares, frozen_shares = (next(forecaster.shares(cases, [1.0])) for forecaster in (model, frozen))
        is_equal = model.last_rows(cases) == frozen.last_rows(cases)
        np.testing.assert_allclose(model_shares[is_equal], frozen_shares[is_equal], atol=1e-6)
        num_equal += is_equal.sum()
        is_empty = frozen.last_rows(cases) < np.asarray(loaded.data.log.offsets)[cases.users]
        np.testing.assert_array_equal(frozen_shares[is_empty], np.tile(cases.population_shares, (is_empty.sum(), 1)))
        vector = [forecaster.vector(cases, Tuned(1.0, 0.2)) for forecaster in (model, frozen)]
        np.testing.assert_allclose(vector[0][is_equal], vector[1][is_equal], atol=1e-6)
        rows = model.last_rows(cases)
        assert (loaded.data.log.time[rows] < windows.begin(cases.window)).all()
        assert (loaded.data.log.time[frozen.last_rows(cases)[~is_empty]] < windows.begin(windows.first)).all()
    assert num_equal


def test_forecasts_do_not_depend_on_later_events(bench, monkeypatch):
    loaded, windows, _, testing = bench
    cases = testing[0]
    before = next(Model(ModelView.from_model(loaded.model, loaded.data), windows).shares(cases, [1.0]))
    later = loaded.data.log.time >= windows.begin(cases.window)
    monkeypatch.setattr(loaded.data.log, "item", np.where(later, (loaded.data.log.item + 5) % 64, loaded.data.log.item))
    np.testing.assert_array_equal(
        next(Model(ModelView.from_model(loaded.model, loaded.data), windows).shares(cases, [1.0])), before
    )
    assert later.any()


def test_a_random_encoder_keeps_the_scale_and_does_not_modify_the_model(bench):
    loaded, windows, _, testing = bench
    view = ModelView.from_model(loaded.model, loaded.data)
    before = {name: p.clone() for name, p in loaded.model.named_parameters()}
    other, same, another = (random_encoder(view, seed) for seed in (1, 1, 2))
    torch.testing.assert_close(other.frozen.items, same.frozen.items, atol=0, rtol=0)
    assert not torch.equal(other.frozen.items, another.frozen.items)
    assert other.frozen.items.norm() == pytest.approx(float(view.frozen.items.norm()))
    assert not torch.allclose(other.frozen.items, view.frozen.items)
    torch.testing.assert_close(other.catalogue.norm(dim=1), torch.ones(64, dtype=torch.float64))
    assert all(torch.equal(p, before[name]) for name, p in loaded.model.named_parameters())
    shares = [next(Model(encoder_view, windows).shares(testing[0], [1.0])) for encoder_view in (view, other)]
    assert not np.allclose(*shares)


def test_the_order_of_the_cases_does_not_matter(bench):
    _, _, tuning, testing = bench
    for forecaster in BASELINES:
        tuned = tune(forecaster, tuning)
        assert tune(forecaster, tuning[::-1]) == tuned
        forward, backward = (score(forecaster, tuned, cases, 2) for cases in (testing, testing[::-1]))
        means = [ClusterBootstrap(s.users, 1, 0).sums_by_user(np.stack([s.loss, s.events], 1)) for s in (forward, backward)]
        np.testing.assert_allclose(*means)


# ---- the table


def test_the_table_contains_every_forecaster_control_and_metric(table):
    assert dict(table.schema) == SCHEMA
    baselines = table.filter(pl.col("dynamics").is_null())
    assert set(baselines["forecaster"]) == {"persistence", "mean", "ewma", "global"}
    assert baselines["run"].is_null().all()
    assert set(table["dynamics"].drop_nulls()) == {"ewma", "multi_interest"}
    models = table.filter(pl.col("run").is_not_null())
    assert set(models["control"]) == {"", *CONTROLS}
    assert set(models["metric"]) >= {
        "skill",
        "skill_events",
        "skill_global",
        "auprc",
        "base_rate",
        "skill_vector",
        "loss_added",
    }
    assert set(models.filter(metric="skill_vector")["horizon"]) == {1, 2}
    assert sorted(models["seed"].unique()) == [0, 1]
    bounds = table.filter(pl.col("low").is_not_null())
    assert (bounds["low"] <= bounds["high"]).all()
    assert (table["users"] > 0).all()


def test_persistence_has_exactly_zero_skill_over_itself(table):
    skills = table.filter(forecaster="persistence").filter(pl.col("metric").is_in(["skill", "skill_events", "skill_vector"]))
    assert skills.height == 6
    assert (skills.select("value", "low", "high") == 0).select(pl.all().all()).row(0) == (True, True, True)


def test_shuffled_labels_give_no_skill_over_the_population(table):
    shuffled = table.filter(control=SHUFFLED_LABELS, metric="skill_global")
    assert set(shuffled["forecaster"]) == {"persistence", "mean", "ewma", "global", "model"}
    assert shuffled["value"].abs().max() < 0.03
    real = table.filter(control="", metric="skill_global", forecaster="model")
    assert real["value"].min() > 0.05


class Leak(Model):
    """A model that sees the targets of the window."""

    def shares(self, cases, settings):
        for q in super().shares(cases, settings):
            targets = cases.counts[cases.target_index] / cases.events[:, None]
            yield 0.9 * q + 0.1 * targets


class Steady(Model):
    """A model that knows no user but the population of all times: better than ``global``, without a leak."""

    def shares(self, cases, settings):
        for _ in settings:
            q = cases.counts.sum(0) + 0.5
            yield np.broadcast_to(q / q.sum(), (len(cases), len(q)))


@pytest.mark.parametrize(
    ("model", "leaks", "beats_population"), [(Model, False, False), (Steady, False, True), (Leak, True, True)]
)
def test_a_leak_is_detected_and_knowing_the_population_is_not_a_leak(run, monkeypatch, model, leaks, beats_population):
    monkeypatch.setattr("interestlab.drift.forecast.bench.Model", model)
    table = forecast([run("ewma", 0), run("ewma", 1)], make_interests, horizons=(1,), controls=(SHUFFLED_LABELS,), draws=100)
    assert passed(verdict(table), "shuffled labels give no gain") is not leaks
    gain = table.filter(pl.col("run").is_null(), control=SHUFFLED_LABELS, metric="gain_global", forecaster="model")
    assert (gain["value"].item() > 0.005) is beats_population


def test_a_window_with_one_user_has_no_labels_to_shuffle():
    events = [(0, 0, -2), (0, 1, 0), (0, 1, 1), (1, 0, -1), (1, 2, 1)]
    cases = [build_cases(make_events(events), window, 1) for window in (0, 1)]
    assert [one.window for one in exchange_targets(cases, 0, "test")] == [1]
    with pytest.raises(DataError, match="no test window has two users"):
        exchange_targets(cases[:1], 0, "test")


def test_gains_and_losses_are_differences_of_losses(table):
    def value(metric, run, forecaster="model", control=""):
        is_run = pl.col("run").is_null() if run is None else pl.col("run") == run
        return table.filter(is_run, metric=metric, forecaster=forecaster, control=control, horizon=1).row(0, named=True)[
            "value"
        ]

    run = table["run"].drop_nulls()[0]
    loss = value("log_loss", run)
    assert value("gain_persistence", run) == pytest.approx(value("log_loss", None, "persistence") - loss)
    assert value("gain_ewma", run) == pytest.approx(value("log_loss", None, "ewma") - loss)
    assert value("skill", run) == pytest.approx(1 - loss / value("log_loss", None, "persistence"))
    for control in (SHUFFLED_ORDER, RANDOM_ENCODER, FROZEN):
        assert value("loss_added", run, control=control) == pytest.approx(value("log_loss", run, control=control) - loss)


def test_rows_without_a_run_are_means_over_seeds(table):
    mean = table.filter(pl.col("run").is_null(), pl.col("dynamics").is_not_null())
    assert mean["dynamics"].n_unique() == 1  # the other dynamics has one seed
    keys = ["dynamics", "forecaster", "control", "metric", "horizon"]
    expected = table.filter(pl.col("run").is_not_null()).group_by(keys).agg(pl.col("value").mean().alias("mean"), pl.len())
    both = mean.join(expected, on=keys).filter(pl.col("len") == 2)
    assert both.height == mean.height
    np.testing.assert_allclose(both["value"], both["mean"])


def test_the_same_runs_give_the_same_table(run, table):
    again = forecast([run("ewma", 0)], make_interests, horizons=(1,), controls=(RANDOM_ENCODER,), draws=20)
    keys = ["run", "seed", "forecaster", "control", "metric", "horizon"]
    assert again.join(table, on=keys, how="anti", nulls_equal=True).is_empty()
    both = again.join(table.filter(pl.col("run").is_not_null()), on=keys)
    assert both.height
    for column in ("value", "low", "high"):
        np.testing.assert_array_equal(both[column], both[f"{column}_right"])


# ---- the verdict


def make_verdict(gain, seeds=3, spread=0.001, control_gain=0.05, leak=0.0):
    rows = []
    for control, metric in [*BEATS, (SHUFFLED_LABELS, "gain_own_mean")]:
        value = leak if control == SHUFFLED_LABELS else control_gain if control else gain
        keys = {"dynamics": "d", "forecaster": "model", "control": control, "metric": metric, "horizon": 1}
        rows += [keys | {"run": str(s), "seed": s, "value": value + spread * (s - (seeds - 1) / 2)} for s in range(seeds)]
        rows.append(keys | {"value": value, "low": value - 0.01, "high": value + 0.01})
    return verdict(pl.DataFrame(rows, SCHEMA))


def passed(verdicts, criterion="drift-aware"):
    return verdicts.filter(criterion=criterion)["passed"].item()


def test_the_verdict_passes_only_if_every_criterion_passes():
    assert passed(make_verdict(0.05))
    assert make_verdict(0.05).height == 8
    assert not passed(make_verdict(0.05, seeds=2))
    assert not passed(make_verdict(0.005))  # the interval over users includes 0
    assert not passed(make_verdict(0.05, spread=0.05))  # the interval over seeds includes 0
    assert not passed(make_verdict(-0.05))
    assert not passed(make_verdict(0.05, control_gain=0.0))
    assert not passed(make_verdict(0.05, leak=0.05))
    reason = make_verdict(0.05, control_gain=0.0).filter(criterion="drift-aware")["reason"].item()
    assert reason.startswith("fails: needs the order of the events, ")


def test_criteria_that_were_not_measured_do_not_pass(table):
    verdicts = verdict(table)
    assert verdicts.filter(pl.col("criterion") == "drift-aware")["passed"].to_list() == [False, False]
    assert passed(verdicts.filter(pl.col("dynamics") == verdicts["dynamics"][0]), "three seeds") is False
    unmeasured = verdict(table.filter(pl.col("control") != SHUFFLED_LABELS))
    leaks = unmeasured.filter(criterion="shuffled labels give no gain")
    assert leaks["passed"].to_list() == [False, False]
    assert set(leaks["reason"]) == {"was not measured"}


# ---- errors


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        (["--data.split=leave_one_out"], {}, r"needs data.split=global_time, not leave_one_out"),
        (TIME_SPLIT, {"count": 1}, r"no complete window of .* days fits into the validation part"),
        (TIME_SPLIT, {"controls": ["shuffeld"]}, r"unknown control shuffeld; choose from shuffled order"),
    ],
)
def test_invalid_forecasts_are_reported_in_one_line(run, options, arguments, message):
    with pytest.raises(DataError, match=message) as error:
        forecast([run("ewma", 0, *(options if options != TIME_SPLIT else ()))], make_interests, **arguments)
    assert "\n" not in str(error.value)


def test_an_empty_test_window_is_reported_in_one_line(run):
    def interests_without_late_items(data, session_log):
        taxonomy = make_interests(None, session_log)
        late = session_log.item[session_log.time >= np.quantile(session_log.time, 0.75)]
        item_interest = taxonomy.item_interest.copy()
        item_interest[np.unique(late)] = -1
        return Interests(
            taxonomy.names,
            item_interest,
            taxonomy.leaves,
            taxonomy.leaf,
            taxonomy.vectors,
            taxonomy.rule,
        )

    with pytest.raises(DataError, match=r"no user is active in a \w+ window and before it") as error:
        forecast([run()], interests_without_late_items)
    assert "\n" not in str(error.value)


def test_runs_of_different_logs_are_not_compared(run):
    other = run("ewma", 0, *TIME_SPLIT[:1], "--data.split_quantiles=[0.5,0.75]")
    with pytest.raises(DataError, match=r"is of another log than .*\(split_quantiles differ\)"):
        forecast([run(), other], make_interests, controls=(), draws=2)
