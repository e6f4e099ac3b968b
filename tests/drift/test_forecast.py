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
from interestlab.drift.model.trajectory import ModelView
from interestlab.drift.session_log import build_session_log
from interestlab.errors import DataError
from interestlab.stats.bootstrap import ClusterBootstrap

SHOP = [
    "--data.source.users=150",
    "--data.source.items=64",
    "--data.source.events=30",
    "--data.max_history=40",
    "--data.batch_events=512",
]
CUT = ["--data.split=global_time", "--data.split_quantiles=[0.6,0.75]"]
KEPT = {}


@pytest.fixture
def run(fit, tmp_path_factory):
    """The folder of a small run by its dynamics and seed."""

    def go(dynamics="ewma", seed=0, *options):
        key = (dynamics, seed, *options)
        if key not in KEPT:
            KEPT[key] = tmp_path_factory.mktemp("run") / f"{dynamics}-{seed}"
            given = [
                *SHOP,
                *([*options, "--data.batch_events=8192"] if options else CUT),
                "--model.encoder=id",
                "--model.dim=16",
                f"--model.dynamics={dynamics}",
            ]
            fit(
                *given, f"--seed_everything={seed}", "--test_after_fit=false", steps=1 if options else 12, folder=str(KEPT[key])
            )
        return KEPT[key]

    return go


def interests(data, held):
    return taxonomy_interests(held, np.random.default_rng(0).normal(size=(held.items.height, 5)).astype(np.float32))


@pytest.fixture
def table(run):
    """Of two dynamics and two seeds, with all controls."""
    if "table" not in KEPT:
        runs = [run("ewma", 0), run("ewma", 1), run("multi_interest", 0)]
        KEPT["table"] = forecast(runs, interests, horizons=(1, 2), draws=20)
    return KEPT["table"]


@pytest.fixture
def bench(run):
    """A loaded run, its windows, and the cases to tune and to test on."""
    found = load(run())
    spans = place_windows(found.data, 6)
    held = collect_events(found.data, interests(found.data, build_session_log(found.data.log)), spans)
    tuning, testing = ([build_cases(held, w, 1) for w in part] for part in (range(spans.first, 0), range(spans.stop)))
    return found, spans, tuning, testing


def made(events, count=3):
    """Events ``(user, interest, window)`` over a catalogue of two items an interest."""
    user, interest, window = (np.array(column) for column in zip(*sorted(events, key=lambda e: (e[0], e[2])), strict=True))
    item = interest * 2 + np.arange(len(user)) % 2
    vectors = np.arange(count * 4, dtype=np.float32).reshape(-1, 2)
    held = Interests([*"abc"][:count], np.arange(count * 2) // 2, [], np.zeros(count * 2, int), vectors, "")
    offsets = np.searchsorted(user, np.arange(user.max() + 2))
    return InterestEvents(held, user, item, interest, window, offsets)


# ---- windows and cases


def test_windows_meet_at_the_test_cut_and_those_before_it_follow_the_training(run):
    data = load(run()).data
    spans = place_windows(data, 6)
    times = np.asarray(data.log.time)
    valid, test = np.quantile(times, data.preparation.split_quantiles, method="higher")
    assert spans.begin(0) == test
    assert valid <= spans.begin(spans.first) < spans.begin(0)
    assert spans.begin(spans.stop) <= times.max() + 1
    assert 5 <= spans.stop - spans.first <= 6
    assert spans.length * 6 == pytest.approx(times.max() + 1 - valid)


def test_a_case_knows_what_was_before_and_what_is_to_come():
    events = [(0, 0, -3), (0, 1, -1), (0, 1, -1), (0, 2, 0), (0, 0, 1), (1, 2, -2), (2, 0, 0), (3, 1, -1), (3, 1, 0), (3, 2, 0)]
    found = build_cases(made(events), 0, 1)
    assert found.users.tolist() == [0, 3]  # 1 is not there, and 2 was not before
    assert found.age[found.case == 0].tolist() == [2, 1, 0]
    assert found.counts.tolist() == [[0, 0, 1], [0, 1, 1]]
    shares = {f.name: next(f.shares(found, [1.0])) for f in (Persistence(), Mean(), Ewma())}
    np.testing.assert_allclose(shares["persistence"], [[0, 1, 0], [0, 1, 0]])
    np.testing.assert_allclose(shares["mean"], [[1 / 3, 2 / 3, 0], [0, 1, 0]])
    np.testing.assert_allclose(shares["ewma"], [[1 / 7, 6 / 7, 0], [0, 1, 0]])
    assert build_cases(made(events), 1, 2).users.tolist() == [0]
    assert build_cases(made(events), 1, 2).age.tolist() == [2, 1, 0]  # window 0 is not known yet


def test_the_trend_of_the_population_goes_on():
    events = [(0, 0, -2), (0, 0, -2), (1, 1, -2), (0, 0, -1), (1, 1, -1), (1, 1, -1), (0, 0, 0), (1, 1, 0)]
    found = build_cases(made(events, 2), 0, 1)
    flat, rising = (q[0] for q in Global().shares(found, [0.0, 1.0]))
    np.testing.assert_allclose(flat, [1.5 / 4, 2.5 / 4])
    ratio = np.array([1.5 / 2.5, 2.5 / 1.5])
    np.testing.assert_allclose(rising, flat * ratio / (flat * ratio).sum())


def test_expected_vectors_are_of_the_users_own_items_and_else_of_the_interest():
    events = [(0, 0, -2), (0, 1, -1), (0, 2, 0), (1, 1, -1), (1, 1, 0)]
    held = made(events)
    found = build_cases(held, 0, 1)
    vectors, item = held.interests.vectors, held.item
    shares = np.array([[0.5, 0.25, 0.25], [0, 1, 0]])
    own = 0.5 * vectors[item[0]] + 0.25 * vectors[item[1]] + 0.25 * vectors[4:].mean(0)
    np.testing.assert_allclose(found.own_vector(shares), [own, vectors[item[3]]], rtol=1e-6)
    np.testing.assert_allclose(Persistence().vector(found, Tuned(0, 0.5))[0], vectors[item[1]])
    np.testing.assert_allclose(found.target_vector, vectors[item[[2, 4]]])
    apart = np.square(vectors[item[[1, 3]]] - vectors[item[[2, 4]]]).sum(1)
    np.testing.assert_allclose(squared_error(Persistence(), Tuned(0, 0.5), [found]), apart)


def test_everyone_is_tuned_over_as_many_candidates():
    assert {len(mixing_weights(one)) * len(one.settings) for one in BASELINES} == {96}
    assert len(mixing_weights(Model.__new__(Model))) * len(Model.settings) == 96
    assert all(mixing_weights(one).min() > 0 for one in BASELINES)


# ---- scores


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_tuning_finds_the_least_loss_and_exchanging_targets_keeps_them(seed):
    rng = np.random.default_rng(seed)
    events = [(int(u), int(rng.integers(3)), int(rng.integers(-4, 2))) for u in rng.integers(8, size=80)]
    found = build_cases(made(events), 0, 1)
    if not len(found):
        return
    for forecaster in BASELINES:
        tuned = tune(forecaster, [found])
        told = score(forecaster, tuned, [found], 1)
        best = (told.loss / told.events).mean()
        for setting in forecaster.settings:
            for mix in mixing_weights(forecaster)[::5]:
                other = score(forecaster, Tuned(setting, mix), [found], 1)
                assert best <= (other.loss / other.events).mean() + 1e-12
    other = found.exchange_targets(seed)
    np.testing.assert_array_equal(np.sort(other.events), np.sort(found.events))
    np.testing.assert_array_equal(other.counts[other.target_index].sum(0), found.counts.sum(0))


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_over_all_exchanges_no_forecast_beats_its_own_mean(seed):
    """Not even one that knows the users, or the population of all times: what `global` could not promise."""
    rng = np.random.default_rng(seed)
    found = build_cases(
        made([(int(u), int(rng.integers(3)), int(rng.integers(-4, 1))) for u in rng.integers(8, size=80)]), 0, 1
    )
    turns = [replace(found, target_index=np.roll(np.arange(len(found)), turn)) for turn in range(len(found))]
    for forecaster in BASELINES:
        tuned = Tuned(forecaster.settings[-1], 0.05)

        def loss(one, how, turns=turns):
            told = [score(one, how, [turn], 1) for turn in turns]
            return np.mean([scores.loss / scores.events for scores in told])

        own = loss(Averaged(forecaster, tuned), Tuned(0, 0))
        assert own <= loss(forecaster, tuned) + 1e-12
        if forecaster.name == "global":
            assert own == pytest.approx(loss(forecaster, tuned))


def test_a_migration_is_another_interest_on_top():
    events = [(0, 0, -2), (0, 0, -1), (0, 1, -1), (0, 0, 0), (0, 1, 0), (1, 0, -1), (1, 1, 0), (1, 1, 0), (2, 0, -1), (2, 1, 0)]
    told = score(Mean(), Tuned(0, 0.01), [build_cases(made(events), 0, 1)], 2)
    assert told.moved.tolist() == [False, True, True]  # the first is a tie, which is no migration
    assert told.judged.tolist() == [True, True, False]


# ---- models and controls


def test_a_model_that_reads_no_later_event_is_frozen_where_there_is_none(bench):
    found, spans, tuning, testing = bench
    seen = ModelView.from_model(found.model, found.data)
    model, frozen = Model(seen, spans), Model(seen, spans, frozen=True)
    alike = 0
    for one in [*tuning, *testing]:
        a, b = (next(m.shares(one, [1.0])) for m in (model, frozen))
        same = model.last_rows(one) == frozen.last_rows(one)
        np.testing.assert_allclose(a[same], b[same], atol=1e-6)
        alike += same.sum()
        none = frozen.last_rows(one) < np.asarray(found.data.log.offsets)[one.users]
        np.testing.assert_array_equal(b[none], np.tile(one.population_shares, (none.sum(), 1)))
        vector = [m.vector(one, Tuned(1.0, 0.2)) for m in (model, frozen)]
        np.testing.assert_allclose(vector[0][same], vector[1][same], atol=1e-6)
        rows = model.last_rows(one)
        assert (found.data.log.time[rows] < spans.begin(one.window)).all()
        assert (found.data.log.time[frozen.last_rows(one)[~none]] < spans.begin(spans.first)).all()
    assert alike


def test_the_future_changes_no_forecast(bench, monkeypatch):
    found, spans, _, testing = bench
    one = testing[0]
    before = next(Model(ModelView.from_model(found.model, found.data), spans).shares(one, [1.0]))
    later = found.data.log.time >= spans.begin(one.window)
    monkeypatch.setattr(found.data.log, "item", np.where(later, (found.data.log.item + 5) % 64, found.data.log.item))
    np.testing.assert_array_equal(next(Model(ModelView.from_model(found.model, found.data), spans).shares(one, [1.0])), before)
    assert later.any()


def test_a_random_encoder_is_another_at_the_same_scale_and_leaves_the_model_as_it_is(bench):
    found, spans, _, testing = bench
    seen = ModelView.from_model(found.model, found.data)
    before = {name: p.clone() for name, p in found.model.named_parameters()}
    other, same, another = (random_encoder(seen, seed) for seed in (1, 1, 2))
    torch.testing.assert_close(other.frozen.items, same.frozen.items, atol=0, rtol=0)
    assert not torch.equal(other.frozen.items, another.frozen.items)
    assert other.frozen.items.norm() == pytest.approx(float(seen.frozen.items.norm()))
    assert not torch.allclose(other.frozen.items, seen.frozen.items)
    torch.testing.assert_close(other.catalogue.norm(dim=1), torch.ones(64, dtype=torch.float64))
    assert all(torch.equal(p, before[name]) for name, p in found.model.named_parameters())
    shares = [next(Model(one, spans).shares(testing[0], [1.0])) for one in (seen, other)]
    assert not np.allclose(*shares)


def test_the_order_of_the_cases_does_not_matter(bench):
    _, _, tuning, testing = bench
    for forecaster in BASELINES:
        tuned = tune(forecaster, tuning)
        assert tune(forecaster, tuning[::-1]) == tuned
        one, other = (score(forecaster, tuned, ones, 2) for ones in (testing, testing[::-1]))
        means = [ClusterBootstrap(s.users, 1, 0).sums_by_user(np.stack([s.loss, s.events], 1)) for s in (one, other)]
        np.testing.assert_allclose(*means)


# ---- the table


def test_the_table_holds_every_forecaster_control_and_metric(table):
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


def test_persistence_has_no_skill_over_itself_exactly(table):
    own = table.filter(forecaster="persistence").filter(pl.col("metric").is_in(["skill", "skill_events", "skill_vector"]))
    assert own.height == 6
    assert (own.select("value", "low", "high") == 0).select(pl.all().all()).row(0) == (True, True, True)


def test_shuffled_labels_leave_no_skill_over_the_population(table):
    told = table.filter(control=SHUFFLED_LABELS, metric="skill_global")
    assert set(told["forecaster"]) == {"persistence", "mean", "ewma", "global", "model"}
    assert told["value"].abs().max() < 0.03
    real = table.filter(control="", metric="skill_global", forecaster="model")
    assert real["value"].min() > 0.05


class Leak(Model):
    """A model that sees whose window it is."""

    def shares(self, cases, settings):
        for q in super().shares(cases, settings):
            peeked = cases.counts[cases.target_index] / cases.events[:, None]
            yield 0.9 * q + 0.1 * peeked


class Steady(Model):
    """A model that knows no user, but the population of all times: better than ``global``, and no leak."""

    def shares(self, cases, settings):
        for _ in settings:
            q = cases.counts.sum(0) + 0.5
            yield np.broadcast_to(q / q.sum(), (len(cases), len(q)))


@pytest.mark.parametrize(
    ("model", "leaks", "beats_everyone"), [(Model, False, False), (Steady, False, True), (Leak, True, True)]
)
def test_a_leak_is_caught_and_knowing_everyone_is_none(run, monkeypatch, model, leaks, beats_everyone):
    monkeypatch.setattr("interestlab.drift.forecast.bench.Model", model)
    found = forecast([run("ewma", 0), run("ewma", 1)], interests, horizons=(1,), controls=(SHUFFLED_LABELS,), draws=100)
    assert passed(verdict(found), "shuffled labels give no gain") is not leaks
    gain = found.filter(pl.col("run").is_null(), control=SHUFFLED_LABELS, metric="gain_global", forecaster="model")
    assert (gain["value"].item() > 0.005) is beats_everyone


def test_a_window_of_one_user_has_no_labels_to_shuffle():
    events = [(0, 0, -2), (0, 1, 0), (0, 1, 1), (1, 0, -1), (1, 2, 1)]
    ones = [build_cases(made(events), window, 1) for window in (0, 1)]
    assert [one.window for one in exchange_targets(ones, 0, "test")] == [1]
    with pytest.raises(DataError, match="no test window has two users"):
        exchange_targets(ones[:1], 0, "test")


def test_gains_and_losses_are_differences_of_losses(table):
    def one(metric, run, forecaster="model", control=""):
        same = pl.col("run").is_null() if run is None else pl.col("run") == run
        return table.filter(same, metric=metric, forecaster=forecaster, control=control, horizon=1).row(0, named=True)["value"]

    run = table["run"].drop_nulls()[0]
    loss = one("log_loss", run)
    assert one("gain_persistence", run) == pytest.approx(one("log_loss", None, "persistence") - loss)
    assert one("gain_ewma", run) == pytest.approx(one("log_loss", None, "ewma") - loss)
    assert one("skill", run) == pytest.approx(1 - loss / one("log_loss", None, "persistence"))
    for control in (SHUFFLED_ORDER, RANDOM_ENCODER, FROZEN):
        assert one("loss_added", run, control=control) == pytest.approx(one("log_loss", run, control=control) - loss)


def test_rows_without_a_run_are_means_over_seeds(table):
    mean = table.filter(pl.col("run").is_null(), pl.col("dynamics").is_not_null())
    assert mean["dynamics"].n_unique() == 1  # the other dynamics has one seed
    keys = ["dynamics", "forecaster", "control", "metric", "horizon"]
    each = table.filter(pl.col("run").is_not_null()).group_by(keys).agg(pl.col("value").mean().alias("of"), pl.len())
    both = mean.join(each, on=keys).filter(pl.col("len") == 2)
    assert both.height == mean.height
    np.testing.assert_allclose(both["value"], both["of"])


def test_the_same_runs_give_the_same_table(run, table):
    again = forecast([run("ewma", 0)], interests, horizons=(1,), controls=(RANDOM_ENCODER,), draws=20)
    keys = ["run", "seed", "forecaster", "control", "metric", "horizon"]
    assert again.join(table, on=keys, how="anti", nulls_equal=True).is_empty()
    both = again.join(table.filter(pl.col("run").is_not_null()), on=keys)
    assert both.height
    for column in ("value", "low", "high"):
        np.testing.assert_array_equal(both[column], both[f"{column}_right"])


# ---- the verdict


def judged(gain, seeds=3, spread=0.001, control_gain=0.05, leak=0.0):
    rows = []
    for control, metric in [*BEATS, (SHUFFLED_LABELS, "gain_own_mean")]:
        value = leak if control == SHUFFLED_LABELS else control_gain if control else gain
        about = {"dynamics": "d", "forecaster": "model", "control": control, "metric": metric, "horizon": 1}
        rows += [about | {"run": str(s), "seed": s, "value": value + spread * (s - (seeds - 1) / 2)} for s in range(seeds)]
        rows.append(about | {"value": value, "low": value - 0.01, "high": value + 0.01})
    return verdict(pl.DataFrame(rows, SCHEMA))


def passed(found, criterion="drift-aware"):
    return found.filter(criterion=criterion)["passed"].item()


def test_the_rule_is_met_only_where_every_part_of_it_is():
    assert passed(judged(0.05))
    assert judged(0.05).height == 8
    assert not passed(judged(0.05, seeds=2))
    assert not passed(judged(0.005))  # other users might say otherwise
    assert not passed(judged(0.05, spread=0.05))  # other seeds might
    assert not passed(judged(-0.05))
    assert not passed(judged(0.05, control_gain=0.0))
    assert not passed(judged(0.05, leak=0.05))
    told = judged(0.05, control_gain=0.0).filter(criterion="drift-aware")["reason"].item()
    assert told.startswith("fails: needs the order of the events, ")


def test_what_was_not_measured_is_not_passed(table):
    found = verdict(table)
    assert found.filter(pl.col("criterion") == "drift-aware")["passed"].to_list() == [False, False]
    assert passed(found.filter(pl.col("dynamics") == found["dynamics"][0]), "three seeds") is False
    without = verdict(table.filter(pl.col("control") != SHUFFLED_LABELS))
    leaks = without.filter(criterion="shuffled labels give no gain")
    assert leaks["passed"].to_list() == [False, False]
    assert set(leaks["reason"]) == {"was not measured"}


# ---- what cannot be done


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        (["--data.split=leave_one_out"], {}, r"needs data.split=global_time, not leave_one_out"),
        (CUT, {"count": 1}, r"no complete window of .* days fits into the validation part"),
        (CUT, {"controls": ["shuffeld"]}, r"unknown control shuffeld; choose from shuffled order"),
    ],
)
def test_what_cannot_be_forecast_is_told_in_a_line(run, options, arguments, message):
    with pytest.raises(DataError, match=message) as told:
        forecast([run("ewma", 0, *(options if options != CUT else ()))], interests, **arguments)
    assert "\n" not in str(told.value)


def test_an_empty_test_window_is_told_in_a_line(run):
    def nothing(data, held):
        found = interests(None, held)
        late = held.item[held.time >= np.quantile(held.time, 0.75)]
        of = found.item_interest.copy()
        of[np.unique(late)] = -1
        return Interests(found.names, of, found.leaves, found.leaf, found.vectors, found.rule)

    with pytest.raises(DataError, match=r"no user is active in a \w+ window and before it") as told:
        forecast([run()], nothing)
    assert "\n" not in str(told.value)


def test_runs_of_different_logs_are_not_compared(run):
    other = run("ewma", 0, *CUT[:1], "--data.split_quantiles=[0.5,0.75]")
    with pytest.raises(DataError, match=r"is of another log than .*\(split_quantiles differ\)"):
        forecast([run(), other], interests, controls=(), draws=2)
