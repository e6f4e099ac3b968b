"""The permutation kernel against a loop that permutes one group after the other."""

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


def apart(first, second):
    """Two statistics: how far the shares are apart, and what the second window holds of the first feature."""
    p, p2 = (c / np.maximum(c.sum(-1, keepdims=True), 1) for c in (first, second))
    return np.stack([np.abs(p2 - p).sum(-1), second[..., 0]])


def some(sizes, second, features, seed):
    """Groups of units, each with counts of a few features; as cells and as a dense array."""
    rng = np.random.default_rng(seed)
    units = int(sum(sizes))
    dense = rng.integers(0, 4, (units, features)) * (rng.random((units, features)) < 0.6)
    unit, feature = dense.nonzero()
    groups = Groups(np.r_[0, np.cumsum(sizes)].astype(np.int64), np.array(second))
    return groups, UnitFeatures(unit, feature, dense[unit, feature].astype(np.float32)), dense


def collected(groups, cells, draws, seed, weight=None):
    values = np.full((2, 1 + draws, len(groups.second)), np.nan)
    weights = np.full((1 + draws, len(groups.second)), np.nan)
    for index, found, told in permutation_replicates(groups, cells, apart, draws, np.random.default_rng(seed), weight):
        values[:, :, index], weights[:, index] = found, told
    return values, weights


def observed(dense, groups, g):
    at, end = groups.offsets[g], groups.offsets[g + 1]
    return apart(dense[at : end - groups.second[g]].sum(0), dense[end - groups.second[g] : end].sum(0))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 7)), min_size=1, max_size=8), st.integers(1, 4), st.integers(0, 999)
)
def test_the_first_row_is_what_was_observed_and_groups_of_one_window_are_passed_over(shapes, features, seed):
    groups, cells, dense = some([n for n, _ in shapes], [m for _, m in shapes], features, seed)
    values, weights = collected(groups, cells, 5, seed)
    for g, (units, second) in enumerate(shapes):
        if 0 < second < units:
            np.testing.assert_allclose(values[:, 0, g], observed(dense, groups, g), atol=1e-5)
            assert (weights[:, g] == 1).all()
        else:
            assert np.isnan(values[:, :, g]).all()


def exact(dense, groups, g, weight=None):
    """Of every partition of a group: the statistics, and how likely it is; the observed one is the last."""
    at, end = groups.offsets[g], groups.offsets[g + 1]
    units, rows = np.arange(end - at), dense[at:end]
    tilt = np.zeros(len(units)) if weight is None else weight[at:end]
    found = []
    for late in combinations(units, groups.second[g]):
        inside = np.isin(units, late)
        found.append((apart(rows[~inside].sum(0), rows[inside].sum(0)), np.exp(tilt[inside].sum())))
    return np.array([f for f, _ in found]), np.array([w for _, w in found])


@pytest.mark.parametrize("tilted", [False, True])
def test_p_values_are_those_of_all_partitions(tilted):
    groups, cells, dense = some([4, 6, 5, 6, 4], [2, 3, 1, 2, 2], 3, 7)
    weight = np.random.default_rng(1).normal(0, 0.7, len(dense)).astype(np.float32) if tilted else None
    draws = 20_000
    values, weights = collected(groups, cells, draws, 3, weight)
    p = monte_carlo_p_values(values, weights)
    for g in range(len(groups.second)):
        statistics, likely = exact(dense, groups, g, weight)
        wanted = ((statistics >= statistics[-1] - 1e-6) * likely[:, None]).sum(0) / likely.sum()
        np.testing.assert_allclose(p[:, g], wanted, atol=0.02)  # 4 standard errors of 20,000 draws


def test_every_partition_is_as_likely():
    chosen = np.concatenate(list(random_partitions(5, 2, 20_000, np.random.default_rng(0))))
    assert chosen[0].tolist() == [0, 0, 0, 1, 1]
    assert (chosen.sum(1) == 2).all()
    _, many = np.unique(chosen[1:], axis=0, return_counts=True)
    assert len(many) == 10
    assert np.abs(many - 2000).max() < 5 * np.sqrt(2000)


def test_weights_of_0_are_none_and_a_constant_weight_changes_nothing():
    groups, cells, dense = some([5, 7, 7], [2, 3, 3], 3, 0)
    plain = collected(groups, cells, 50, 1)
    for level in (0.0, 2.5):
        weighted = collected(groups, cells, 50, 1, np.full(len(dense), level, np.float32))
        np.testing.assert_allclose(weighted[0], plain[0])
        np.testing.assert_allclose(weighted[1], 1, atol=1e-5)


def test_a_p_value_is_never_0_and_counts_ties():
    values = np.array([[[3.0, 1.0, 1.0]], [[1.0, 1.0, 1.0]]]).transpose(0, 2, 1)  # observed, and two draws
    np.testing.assert_allclose(monte_carlo_p_values(values)[:, 0], [1 / 3, 1])


def test_how_many_groups_are_held_at_once_changes_nothing_that_was_observed(monkeypatch):
    groups, cells, _ = some([6] * 30 + [9] * 10, [3] * 30 + [4] * 10, 4, 5)
    whole = collected(groups, cells, 400, 0)
    monkeypatch.setattr(permutation, "_TILE", 401 * 4 * 2)
    parts = collected(groups, cells, 400, 0)
    np.testing.assert_allclose(whole[0][:, 0], parts[0][:, 0])
    assert np.abs(monte_carlo_p_values(whole[0]) - monte_carlo_p_values(parts[0])).max() < 0.15


def test_vectors_are_summed_as_counts_are():
    groups, cells, dense = some([5, 6], [2, 3], 3, 2)
    vectors = UnitFeatures(np.arange(len(dense)), np.zeros(len(dense), np.int64), dense.astype(np.float32))
    for told, wanted in zip(collected(groups, vectors, 30, 4), collected(groups, cells, 30, 4), strict=True):
        np.testing.assert_allclose(told, wanted, atol=1e-6)


def test_groups_that_are_left_out_are_not_tested_and_others_stay():
    groups, cells, _ = some([5, 5, 6], [2, 2, 3], 3, 2)
    values, _ = collected(groups.restrict_to(np.array([True, False, True])), cells, 9, 0)
    assert np.isnan(values[0, 0]).tolist() == [False, True, False]


def test_nothing_to_test_yields_nothing():
    empty = UnitFeatures(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    groups = Groups(np.zeros(4, np.int64), np.zeros(3, np.int64))
    assert not list(permutation_replicates(groups, empty, apart, 9, np.random.default_rng(0)))


def test_unshared_draws_are_each_groups_own_in_another_order():
    groups, cells, _ = some([6] * 50, [3] * 50, 3, 5)
    ((_, values, weights),) = permutation_replicates(groups, cells, apart, 99, np.random.default_rng(0))
    mixed = independent_replicates(values, np.random.default_rng(1), weights)
    np.testing.assert_array_equal(mixed[:, 0], values[:, 0])
    for g in range(50):
        here, there = (set(map(tuple, v[:, 1:, g].T.tolist())) for v in (values, mixed))
        assert here == there  # both statistics of a draw stay together
    assert (mixed != values).any((0, 1)).all()


def test_unshared_draws_are_as_likely_as_their_weights():
    values = np.tile(np.arange(4.0)[None, :, None], (1, 1, 2_000))
    weights = np.tile(np.array([1.0, 1, 2, 5])[:, None], (1, 2_000))
    mixed = independent_replicates(values, np.random.default_rng(0), weights)[0]
    np.testing.assert_array_equal(mixed[0], 0)
    for draw, share in ((1, 1 / 8), (2, 2 / 8), (3, 5 / 8)):
        assert (mixed[1:] == draw).mean() == pytest.approx(share, abs=0.02)
