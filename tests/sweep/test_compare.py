import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interestlab.errors import DataError
from interestlab.sweep.compare import compare
from interestlab.sweep.comparison_table import markdown_table
from interestlab.sweep.cost import pareto_front, tpme

BASELINE = {"baseline": {"tuning": "frozen"}}


# ---- cost


def test_tpme_by_hand():
    def costs(time, parameters, memory):
        return {"seconds_per_epoch": time, "trainable_parameters": parameters, "peak_memory_mb": memory}

    values = tpme([costs(10, 1, 100), costs(20, 101, 100), costs(15, 51, 100), {"seconds_per_epoch": 1.0}])
    assert values == [0, pytest.approx(0.55), pytest.approx(0.275), None]
    assert tpme([costs(10, 1, 100)]) == [0]
    assert tpme([{}]) == [None]


points = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


@given(points)
def test_the_pareto_front_is_not_dominated_and_dominates_the_rest(points):
    def dominates(a, b):
        return a[0] >= b[0] and a[1] <= b[1] and a != b

    on_front = pareto_front(*zip(*points, strict=True))
    front = [point for point, is_on in zip(points, on_front, strict=True) if is_on]
    assert front
    for point, is_on in zip(points, on_front, strict=True):
        assert is_on == (not any(dominates(other, point) for other in points))
        assert is_on or any(dominates(other, point) for other in front)


# ---- a sweep folder


def test_metrics_and_differences_by_hand(fabricate):
    ranks = {"frozen": [[1, 20, 20, 20], [1, 2, 20, 20]], "full": [[1, 2, 20, 20], [1, 2, 3, 20]]}
    comparison = compare(fabricate(ranks, **BASELINE))
    frozen, full = comparison.configurations
    assert comparison.baseline is frozen
    assert comparison.users == 4
    assert frozen.metrics["test/recall@10"].values == (0.25, 0.5)
    assert full.metrics["test/recall@10"].mean == pytest.approx(0.625)
    assert full.metrics["test/recall@10"].half_width == pytest.approx(12.7062 * 0.125, rel=1e-5)
    difference = full.differences["test/recall@10"]
    assert difference.over_seeds.values == (0.25, 0.25)
    # Differences per user: 0, 1/2, 1/2, 0.
    assert (difference.low, difference.high) == (0, 0.5)
    assert difference.p == pytest.approx(2 * (1 + 10_000 / 16) / 10_001, rel=0.1)
    assert difference.p_holm >= difference.p
    assert not difference.is_significant
    assert frozen.differences == {}


def test_equal_ranks_give_no_difference(fabricate):
    comparison = compare(fabricate({"frozen": [[1, 4, 30]] * 2, "full": [[1, 4, 30]] * 2}, **BASELINE)).configurations[1]
    for d in comparison.differences.values():
        assert (d.over_seeds.mean, d.low, d.high, d.p, d.p_holm, d.is_significant) == (0, 0, 0, 1, 1, False)


def test_a_difference_in_all_users_and_seeds_is_significant(fabricate):
    comparison = compare(fabricate({"frozen": [[20] * 30] * 2, "full": [[1] * 30] * 2}, **BASELINE)).configurations[1]
    assert all(d.is_significant for d in comparison.differences.values())


def test_only_shared_seeds_are_paired_and_all_trials_are_counted(fabricate):
    ranks = {"frozen": [[20] * 4, None, [1] * 4], "full": [[1] * 4, [1] * 4, "out of memory"], "lora": ["no", [1] * 4, None]}
    comparison = compare(fabricate(ranks, **BASELINE))
    _, full, lora = comparison.configurations
    assert [(c.done, c.trials) for c in comparison.configurations] == [(2, 3), (2, 3), (1, 3)]
    assert full.differences["test/recall@10"].over_seeds.values == (1,)
    assert full.differences["test/recall@10"].over_seeds.half_width is None
    assert not full.differences["test/recall@10"].is_significant
    assert lora.differences == {}
    assert lora.metrics["test/recall@10"].half_width is None
    assert [(t["trial"], t["status"], t["reason"]) for t in comparison.unfinished] == [
        ("t0-1", "missing", "not started"),
        ("t1-2", "failed", "out of memory"),
        ("t2-0", "failed", "no"),
        ("t2-2", "missing", "not started"),
    ]


def test_costs_and_fronts(fabricate):
    costs = {
        "seconds_per_epoch": {"frozen": 1.0, "lora": 4.0, "full": 5.0},
        "trainable_parameters": {"frozen": 0, "lora": 10, "full": 100},
        "peak_memory_mb": {"frozen": 10.0, "lora": 30.0, "full": 30.0},
    }
    comparison = compare(fabricate({"frozen": [[20, 1]], "lora": [[1, 1]], "full": [[1, 1]]}, costs=costs)).configurations
    assert [c.on_front["seconds_per_epoch"] for c in comparison] == [True, True, False]
    assert [c.tpme for c in comparison] == [0, pytest.approx(0.45 * 0.75 + 0.1 * 0.1 + 0.45), pytest.approx(1)]


def test_metrics_that_are_not_per_user_have_no_difference(fabricate):
    changed = {f"t{i}-0": {"val/recall@10": 0.5} for i in range(2)}
    folder = fabricate({"frozen": [[1, 2]], "full": [[1, 2]]}, changed=changed, metrics=["val/recall@10"], **BASELINE)
    comparison = compare(folder).configurations[1]
    assert comparison.metrics["val/recall@10"].mean == 0.5
    assert comparison.differences == {}


# ---- errors


def test_trials_of_different_data_are_refused(fabricate):
    changed = {"t1-0": {"fingerprint": '{"source": "files", "data": "ffff", "users": 4, "k_core": 5}'}}
    with pytest.raises(DataError, match=r"t0-0 and t1-0 .*data \(1c8d against ffff\), k_core \(0 against 5\)$"):
        compare(fabricate({"frozen": [[1]], "full": [[1]]}, changed=changed))


def test_the_metric_of_a_group_of_targets_is_compared_over_its_users(fabricate):
    counts, metric = [0, 0, 2, 9], "test/cold/recall@10"
    ranks = {"frozen": [[20, 20, 1, 1]], "full": [[1, 20, 20, 20]]}
    reported = {"t0-0": {metric: 0.0}, "t1-0": {metric: 0.5}}
    folder = fabricate(ranks, changed=reported, metrics=["test/recall@10", metric], **BASELINE)
    for file in folder.glob("trials/*/ranks.parquet"):
        pl.read_parquet(file).with_columns(target_count=pl.Series(counts)).write_parquet(file)
    _, full = compare(folder).configurations
    assert full.differences["test/recall@10"].over_seeds.mean == pytest.approx(-0.25)
    assert full.differences[metric].over_seeds.mean == 0.5
    assert (full.differences[metric].low, full.differences[metric].high) == (0, 1)


def test_a_metric_of_a_group_without_users_is_refused(fabricate):
    with pytest.raises(DataError, match="no test/cold/recall@10; no test user has a target of that group"):
        compare(fabricate({"frozen": [[1]]}, metrics=["test/cold/recall@10"]))


def test_the_untrained_baselines_of_the_runs_are_averaged(fabricate):
    folder = fabricate({"frozen": [[1], [2]]})
    for seed, value in enumerate((0.25, 0.75)):
        baselines = {"popularity": {"test/recall@10": value, "test/recall@10/ci95": [0, 1]}}
        (folder / f"trials/t0-{seed}/metrics.json").write_text(json.dumps({"baselines": baselines}))
    comparison = compare(folder)
    assert comparison.untrained == {"popularity": {"test/recall@10": 0.5}}
    assert "Without training: popularity recall@10 0.5000." in markdown_table(comparison)


def test_the_fingerprint_of_a_failed_trial_is_ignored(fabricate):
    compare(fabricate({"frozen": [[1]], "full": ["no"]}, changed={"t1-0": {"fingerprint": None}}))


@pytest.mark.parametrize("reported", [0.5 + 2e-6, float("nan")])
@pytest.mark.parametrize("baseline", [BASELINE, {}])
def test_a_metric_that_the_ranks_do_not_confirm_is_refused(fabricate, reported, baseline):
    folder = fabricate({"frozen": [[1, 20]], "full": [[1, 20]]}, changed={"t1-0": {"test/recall@10": reported}}, **baseline)
    with pytest.raises(DataError, match=r"^trial t1-0 reports test/recall@10 "):
        compare(folder)


def test_trials_of_different_users_are_refused(fabricate):
    with pytest.raises(DataError, match=r"t0-0 and t1-0 .* 2 are missing in t1-0, 0 in t0-0"):
        compare(fabricate({"frozen": [[1, 2, 3]], "full": [[1]]}))


def test_a_user_with_two_ranks_is_refused(fabricate):
    folder = fabricate({"frozen": [[1, 1]]})
    file = folder / "trials/t0-0/ranks.parquet"
    pl.read_parquet(file).with_columns(user_id=pl.lit("u0")).write_parquet(file)
    with pytest.raises(DataError, match="2 ranks of 1 users"):
        compare(folder)


def test_missing_ranks_are_refused(fabricate):
    folder = fabricate({"frozen": [[1]]})
    (folder / "trials/t0-0/ranks.parquet").unlink()
    with pytest.raises(DataError, match=r"t0-0 is done but .*ranks.parquet is missing"):
        compare(folder)


def test_a_missing_metric_is_refused(fabricate):
    with pytest.raises(DataError, match="t0-0 is done but has no test/recall@50"):
        compare(fabricate({"frozen": [[1]]}, metrics=["test/recall@50"]))


def test_a_seed_that_ran_twice_is_refused(fabricate):
    with pytest.raises(DataError, match="t0-0 and t0-1 have the same"):
        compare(fabricate({"frozen": [[1], [1]]}, changed={"t0-1": {"seed": 0}}))


@pytest.mark.parametrize("baseline", [{"tuning": "none"}, {"depth": "2"}])
def test_an_unknown_baseline_is_refused(fabricate, baseline):
    with pytest.raises(DataError, match="must match one configuration of the sweep; it matches 0"):
        compare(fabricate({"frozen": [[1]]}, baseline=baseline))


def test_a_folder_without_a_sweep_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"sweep.yaml is missing"):
        compare(tmp_path)
