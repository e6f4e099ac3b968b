"""The vectorised permutation test against an enumeration of all partitions of each group."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.stats import permutation
from interestlab.stats.permutation import (
    Groups,
    UnitFeatures,
    independent_replicates,
    monte_carlo_p_values,
    permutation_replicates,
    random_partitions,
)


def two_statistics(first, second):
    """The distance of the shares, and the count of the first feature in the second window."""
    p, p2 = (c / np.maximum(c.sum(-1, keepdims=True), 1) for c in (first, second))
    return np.stack([np.abs(p2 - p).sum(-1), second[..., 0]])


def random_groups(sizes, second, features, seed):
    """Groups of units with counts of a few features, in sparse and in dense form."""
    rng = np.random.default_rng(seed)
    units = int(sum(sizes))
    dense = rng.integers(0, 4, (units, features)) * (rng.random((units, features)) < 0.6)
    unit, feature = dense.nonzero()
    groups = Groups(np.r_[0, np.cumsum(sizes)].astype(np.int64), np.array(second))
    return groups, UnitFeatures(unit, feature, dense[unit, feature].astype(np.float32)), dense


def collect_replicates(groups, cells, draws, seed, weight=None):
    values = np.full((2, 1 + draws, len(groups.second)), np.nan)
    weights = np.full((1 + draws, len(groups.second)), np.nan)
    for index, statistics, likelihood in permutation_replicates(
        groups, cells, two_statistics, draws, np.random.default_rng(seed), weight
    ):
        values[:, :, index], weights[:, index] = statistics, likelihood
    return values, weights


def observed(dense, groups, g):
    at, end = groups.offsets[g], groups.offsets[g + 1]
    return two_statistics(dense[at : end - groups.second[g]].sum(0), dense[end - groups.second[g] : end].sum(0))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 7)), min_size=1, max_size=8), st.integers(1, 4), st.integers(0, 999)
)
def test_the_first_row_is_the_observed_statistic_and_groups_with_one_window_are_skipped(shapes, features, seed):
    groups, cells, dense = random_groups([n for n, _ in shapes], [m for _, m in shapes], features, seed)
    values, weights = collect_replicates(groups, cells, 5, seed)
    for g, (units, second) in enumerate(shapes):
        if 0 < second < units:
            np.testing.assert_allclose(values[:, 0, g], observed(dense, groups, g), atol=1e-5)
            assert (weights[:, g] == 1).all()
        else:
            assert np.isnan(values[:, :, g]).all()


def all_partitions(dense, groups, g, weight=None):
    """Statistics and weights of all partitions of a group; the observed partition is the last."""
    at, end = groups.offsets[g], groups.offsets[g + 1]
    units, rows = np.arange(end - at), dense[at:end]
    tilt = np.zeros(len(units)) if weight is None else weight[at:end]
    results = []
    for late in combinations(units, groups.second[g]):
        inside = np.isin(units, late)
        results.append((two_statistics(rows[~inside].sum(0), rows[inside].sum(0)), np.exp(tilt[inside].sum())))
    return np.array([s for s, _ in results]), np.array([w for _, w in results])


@pytest.mark.parametrize("tilted", [False, True])
def test_p_values_converge_to_those_of_all_partitions(tilted):
    groups, cells, dense = random_groups([4, 6, 5, 6, 4], [2, 3, 1, 2, 2], 3, 7)
    weight = np.random.default_rng(1).normal(0, 0.7, len(dense)).astype(np.float32) if tilted else None
    draws = 20_000
    values, weights = collect_replicates(groups, cells, draws, 3, weight)
    p = monte_carlo_p_values(values, weights)
    for g in range(len(groups.second)):
        statistics, weight_of = all_partitions(dense, groups, g, weight)
        expected = ((statistics >= statistics[-1] - 1e-6) * weight_of[:, None]).sum(0) / weight_of.sum()
        np.testing.assert_allclose(p[:, g], expected, atol=0.02)  # 4 standard errors of 20,000 draws


def test_all_partitions_are_equally_likely():
    chosen = np.concatenate(list(random_partitions(5, 2, 20_000, np.random.default_rng(0))))
    assert chosen[0].tolist() == [0, 0, 0, 1, 1]
    assert (chosen.sum(1) == 2).all()
    _, counts = np.unique(chosen[1:], axis=0, return_counts=True)
    assert len(counts) == 10
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_constant_log_odds_change_nothing():
    groups, cells, dense = random_groups([5, 7, 7], [2, 3, 3], 3, 0)
    plain = collect_replicates(groups, cells, 50, 1)
    for level in (0.0, 2.5):
        weighted = collect_replicates(groups, cells, 50, 1, np.full(len(dense), level, np.float32))
        np.testing.assert_allclose(weighted[0], plain[0])
        np.testing.assert_allclose(weighted[1], 1, atol=1e-5)


def test_a_p_value_is_never_0_and_counts_ties():
    values = np.array([[[3.0, 1.0, 1.0]], [[1.0, 1.0, 1.0]]]).transpose(0, 2, 1)  # observed, and two draws
    np.testing.assert_allclose(monte_carlo_p_values(values)[:, 0], [1 / 3, 1])


def test_the_tile_size_does_not_change_the_observed_statistics(monkeypatch):
    groups, cells, _ = random_groups([6] * 30 + [9] * 10, [3] * 30 + [4] * 10, 4, 5)
    untiled = collect_replicates(groups, cells, 400, 0)
    monkeypatch.setattr(permutation, "_TILE", 401 * 4 * 2)
    tiled = collect_replicates(groups, cells, 400, 0)
    np.testing.assert_allclose(untiled[0][:, 0], tiled[0][:, 0])
    assert np.abs(monte_carlo_p_values(untiled[0]) - monte_carlo_p_values(tiled[0])).max() < 0.15


def test_dense_rows_give_the_same_as_sparse_counts():
    groups, cells, dense = random_groups([5, 6], [2, 3], 3, 2)
    vectors = UnitFeatures(np.arange(len(dense)), np.zeros(len(dense), np.int64), dense.astype(np.float32))
    for dense_result, sparse_result in zip(
        collect_replicates(groups, vectors, 30, 4), collect_replicates(groups, cells, 30, 4), strict=True
    ):
        np.testing.assert_allclose(dense_result, sparse_result, atol=1e-6)


def test_restrict_to_skips_the_other_groups():
    groups, cells, _ = random_groups([5, 5, 6], [2, 2, 3], 3, 2)
    values, _ = collect_replicates(groups.restrict_to(np.array([True, False, True])), cells, 9, 0)
    assert np.isnan(values[0, 0]).tolist() == [False, True, False]


def test_without_units_nothing_is_yielded():
    empty = UnitFeatures(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    groups = Groups(np.zeros(4, np.int64), np.zeros(3, np.int64))
    assert not list(permutation_replicates(groups, empty, two_statistics, 9, np.random.default_rng(0)))


def test_independent_replicates_reorder_each_group_separately():
    groups, cells, _ = random_groups([6] * 50, [3] * 50, 3, 5)
    ((_, values, weights),) = permutation_replicates(groups, cells, two_statistics, 99, np.random.default_rng(0))
    mixed = independent_replicates(values, np.random.default_rng(1), weights)
    np.testing.assert_array_equal(mixed[:, 0], values[:, 0])
    for g in range(50):
        before, after = (set(map(tuple, v[:, 1:, g].T.tolist())) for v in (values, mixed))
        assert before == after  # both statistics of a draw stay together
    assert (mixed != values).any((0, 1)).all()


def test_independent_replicates_are_resampled_in_proportion_to_their_weights():
    values = np.tile(np.arange(4.0)[None, :, None], (1, 1, 2_000))
    weights = np.tile(np.array([1.0, 1, 2, 5])[:, None], (1, 2_000))
    mixed = independent_replicates(values, np.random.default_rng(0), weights)[0]
    np.testing.assert_array_equal(mixed[0], 0)
    for draw, share in ((1, 1 / 8), (2, 2 / 8), (3, 5 / 8)):
        assert (mixed[1:] == draw).mean() == pytest.approx(share, abs=0.02)
