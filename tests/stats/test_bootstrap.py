import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from interestlab.stats import bootstrap
from interestlab.stats.bootstrap import ClusterBootstrap, bootstrap_mean_interval, paired_bootstrap

MEAN_INTERVAL = (0.41833333333333333, 0.5617083333333331)
PAIRED = (-0.033333333333, 0.111666666667, 0.29017098290170984)
CLUSTER_MEANS = [4.2, 4.7285714285714295, 3.9142857142857146, 4.442857142857143, 3.7142857142857144, 4.514285714285714]

# ---- the mean over users


def test_mean_interval_contains_the_mean_and_depends_on_the_seed():
    values = np.random.default_rng(0).random(400)
    low, high = bootstrap_mean_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)
    assert bootstrap_mean_interval(values) == (low, high)
    assert bootstrap_mean_interval(values, seed=1) != (low, high)
    narrow = bootstrap_mean_interval(values, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_mean_interval_of_equal_values_is_a_point():
    assert bootstrap_mean_interval(np.full(10, 0.25)) == (0.25, 0.25)


def test_mean_interval_has_its_coverage():
    rng = np.random.default_rng(1)
    intervals = (bootstrap_mean_interval((rng.random(200) < 0.3) * 1.0, draws=500) for _ in range(200))
    assert 0.89 <= np.mean([low <= 0.3 <= high for low, high in intervals]) <= 0.99


# ---- paired differences


def test_no_difference_has_p_value_1():
    assert paired_bootstrap(np.zeros(50)) == (0, 0, 1)


def test_rounding_is_no_difference():
    assert paired_bootstrap(np.where(np.arange(50) % 2, 1e-17, 2e-17)) == (0, 0, 1)


def test_the_same_difference_for_every_user():
    assert paired_bootstrap(np.full(50, 0.25), draws=999) == (0.25, 0.25, 2 / 1000)


def test_interval_and_p_value_agree():
    rng = np.random.default_rng(0)
    for mean in (-0.2, -0.12, 0.0, 0.05, 0.15, 0.3):
        low, high, p = paired_bootstrap(rng.normal(mean, 1, 200), draws=2000)
        assert (p < 0.05) == (low > 0 or high < 0)


def test_paired_interval_is_close_to_the_normal_one_for_many_users():
    values = np.random.default_rng(0).normal(0.1, 1, 400)
    low, high, _ = paired_bootstrap(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.05)


def test_paired_interval_has_its_coverage():
    rng = np.random.default_rng(1)
    differences = ((rng.random(200) < 0.3) * 1.0 - (rng.random(200) < 0.3) for _ in range(200))
    intervals = (paired_bootstrap(difference, draws=500) for difference in differences)
    assert 0.89 <= np.mean([low <= 0 <= high for low, high, _ in intervals]) <= 0.99


def test_the_tile_size_does_not_change_the_result(monkeypatch):
    values = np.random.default_rng(0).random(40)
    expected = paired_bootstrap(values, draws=100)
    monkeypatch.setattr(bootstrap, "TILE", 1)
    assert paired_bootstrap(values, draws=100) == pytest.approx(expected, rel=1e-12)


def test_draws_are_fixed():
    """Published numbers depend on these draws."""
    values = np.random.default_rng(7).random(60).round(1)
    assert bootstrap_mean_interval(values) == pytest.approx(MEAN_INTERVAL, abs=1e-12)
    assert paired_bootstrap(values - 0.45) == pytest.approx(PAIRED, abs=1e-12)
    means = ClusterBootstrap(np.arange(60) % 7, 5, seed=3)
    assert means.means(means.sums_by_user(values[:, None]))[:, 0] == pytest.approx(CLUSTER_MEANS, abs=1e-12)


# ---- several cases per user


def test_users_are_resampled_with_all_their_cases_and_the_same_for_every_statistic():
    resampling = ClusterBootstrap(np.array([3, 1, 3, 2]), 500, seed=0)
    sums = resampling.sums_by_user(np.array([[1.0], [2.0], [3.0], [6.0]]))
    np.testing.assert_allclose(sums[:, 0], [2, 6, 4])
    means = resampling.means(sums)
    assert means[0, 0] == 4
    assert means[1:].std() == pytest.approx(np.std([2, 6, 4]) / 3**0.5, rel=0.1)
    np.testing.assert_array_equal(resampling.means(sums * 2), means * 2)


def test_average_precision_is_that_of_scikit_learn_and_nan_for_a_single_label():
    rng = np.random.default_rng(0)
    labels, scores, included = rng.random(40) < 0.4, rng.random(40).round(1), rng.random(40) < 0.8
    resampling = ClusterBootstrap(rng.integers(12, size=40), 20, seed=0)
    values = resampling.average_precision(labels, scores, included)
    expected = [
        average_precision_score(labels[included], scores[included], sample_weight=weight[resampling.user_index[included]])
        for block in resampling.weights(20)
        for weight in block
    ]
    np.testing.assert_allclose(values, expected)
    assert len(values) == 21
    assert np.isnan(resampling.average_precision(np.zeros(40, bool), scores, included)).all()
