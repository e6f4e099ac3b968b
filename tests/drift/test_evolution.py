"""Tests of evolution: values by hand, and rejection rates with and without a change."""

import numpy as np
import pytest
from scipy import stats
from session_logs import DAY, constant_shares, log_from_events, make_interests, make_log, sample_log, shares_by_half

from interestlab.drift.evolution import measure_evolution
from interestlab.drift.leaves import corrected_entropy
from interestlab.drift.shares import InterestShares

K, LEVEL = 4, 0.05


def max_rejection_rate(trials, level=LEVEL):
    """Rejection rate that a valid test exceeds once in 10,000 times."""
    return stats.binom.isf(1e-4, trials, level) / trials


def narrowing_shares(users, sessions, seed, leaves, moved_share=0.75):
    """Leaf shares of users who concentrate on one leaf in the second half of their sessions."""
    rng = np.random.default_rng(seed)
    shares = np.full((users, sessions, leaves), 1 / leaves)
    favourite = rng.integers(leaves, size=users)
    late = np.arange(sessions) >= sessions // 2
    shares[:, late] *= 1 - moved_share
    shares[np.arange(users)[:, None], np.flatnonzero(late), favourite[:, None]] += moved_share
    return shares


def test_values_by_hand():
    interests = make_interests(2, leaves=2, each=2)  # items 0 1 | 2 3 of interest 0, 4 5 | 6 7 of interest 1
    log = make_log([[[0], [0, 2], [4], [2], [2, 2]]], depth=[0, 0, 0.5, np.nan, 1, 1, 0.5])
    shares = InterestShares(log, interests, np.array([3]))  # 0 0 2 | 4 2 2 2
    evolution = measure_evolution(shares, 49, np.random.default_rng(0))
    first_leaf, second_leaf = interests.vectors[[0, 2]].astype(float)
    assert evolution.displacement[0] == pytest.approx(
        9 * ((second_leaf - (2 * first_leaf + second_leaf) / 3) ** 2).sum(), rel=1e-5
    )
    assert evolution.evolved_in[0] == 0
    plug_in = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
    assert evolution.entropy[0] == pytest.approx(plug_in + 1 / (6 * np.log(2)), rel=1e-5)  # Miller–Madow
    assert evolution.entropy_after[0] == 0
    assert evolution.depth[0] == pytest.approx(0.5 / 3)
    assert evolution.depth_after[0] == pytest.approx(2.5 / 3)
    start, middle, end = log.time[0], log.time[3], log.time[-1]
    assert evolution.intensity[0] == pytest.approx(3 / ((middle - start) / DAY))
    assert evolution.intensity_after[0] == pytest.approx(3 / ((end - middle) / DAY))


def test_entropy_of_counts():
    counts = np.array([[4.0, 0, 0], [2, 2, 0], [0, 0, 0]])
    np.testing.assert_allclose(corrected_entropy(counts), [0, 1 + 1 / (8 * np.log(2)), 0], rtol=1e-6)


def test_corrected_entropy_is_unbiased_for_few_events():
    rng, p = np.random.default_rng(0), np.array([0.5, 0.3, 0.2])
    entropies = [corrected_entropy(rng.multinomial(n, p, 4000)).mean() for n in (12, 200)]
    expected = -(p * np.log2(p)).sum()
    assert entropies == pytest.approx([expected, expected], abs=0.03)


def test_p_values_keep_their_level_without_evolution():
    interests = make_interests(K)
    log = sample_log(constant_shares(1200, K, 1), 20, interests, 2)
    depth = np.random.default_rng(3).choice([0, 0.5, 1], len(log.time))
    log = log_from_events(log.user, log.time, log.item, items=log.items, depth=depth)
    evolution = measure_evolution(shares_by_half(log, interests), 199, np.random.default_rng(4))
    for p in (evolution.p_displacement, evolution.p_entropy, evolution.p_depth):
        for level in (0.01, LEVEL, 0.2):
            assert (p <= level).mean() <= max_rejection_rate(len(p), level)
        assert (p <= 0.5).mean() > 0.3


def test_permuting_events_instead_of_sessions_gives_many_false_positives():
    interests = make_interests(K)
    shares = shares_by_half(sample_log(constant_shares(600, K, 1), 20, interests, 2), interests)
    log = shares.log
    event_log = log_from_events(log.user, log.time, log.item, users=600, items=log.items, session_gap=0)
    late = np.bincount(log.user[shares.is_after[log.session]], minlength=600)
    by_event = measure_evolution(InterestShares(event_log, interests, late), 99, np.random.default_rng(3))
    by_session = measure_evolution(shares, 99, np.random.default_rng(3))
    assert (by_session.p_displacement <= LEVEL).mean() <= max_rejection_rate(600)
    assert (by_event.p_displacement <= LEVEL).mean() > 3 * max_rejection_rate(600)


def test_narrowing_users_are_detected_and_migrators_are_not():
    two_interests = make_interests(2, leaves=4)
    narrow = sample_log(
        constant_shares(200, 2, 1, concentration=9), 40, two_interests, 2, leaf_shares=narrowing_shares(200, 40, 3, 4, 0.9)
    )
    evolution = measure_evolution(shares_by_half(narrow, two_interests), 199, np.random.default_rng(4))
    interests = make_interests(K)
    assert (evolution.p_displacement <= LEVEL).mean() > 0.6
    assert (evolution.p_entropy <= LEVEL).mean() > 0.6
    assert (evolution.entropy - evolution.entropy_after).mean() > 0.2
    rng = np.random.default_rng(5)
    shares = np.repeat(rng.dirichlet(np.ones(K), (400, 2)), 20, axis=1)  # other interests, but the same leaves within them
    moved = measure_evolution(shares_by_half(sample_log(shares, 40, interests, 6), interests), 199, np.random.default_rng(7))
    assert np.nanmean(moved.p_displacement <= LEVEL) <= max_rejection_rate(400)
    assert np.nanmean(moved.p_entropy <= LEVEL) <= max_rejection_rate(400)


def test_the_interest_that_changed_is_named():
    interests = make_interests(2)
    log = make_log([[[4], [0]] * 6 + [[4], [2]] * 6, [[4], [0]] * 6 + [[6], [0]] * 6])
    evolution = measure_evolution(shares_by_half(log, interests), 199, np.random.default_rng(0))
    assert evolution.evolved_in.tolist() == [0, 1]
    assert (evolution.p_displacement <= 0.01).all()


def test_changes_of_funnel_depth_are_detected_in_both_directions():
    history = [[0]] * 20
    depth = np.r_[np.zeros(10), np.ones(10), np.ones(10), np.zeros(10), np.tile([0, 1], 10)]
    evolution = measure_evolution(
        shares_by_half(make_log([history] * 3, depth=depth), make_interests(1)), 199, np.random.default_rng(0)
    )
    assert evolution.p_depth[0] <= 0.01
    assert evolution.p_depth[1] <= 0.01
    assert evolution.p_depth[2] > 0.5
    assert evolution.depth_after.tolist() == [1, 0, 0.5]


def test_a_log_with_one_event_type_has_no_depth():
    for depth in (np.full(4, np.nan), np.zeros(4)):
        evolution = measure_evolution(
            shares_by_half(make_log([[[0], [0], [0], [0]]], depth=depth), make_interests(1)), 19, np.random.default_rng(0)
        )
        assert np.isnan([evolution.depth[0], evolution.depth_after[0], evolution.p_depth[0]]).all()


def test_a_window_without_event_types_has_no_depth():
    depth = [np.nan, np.nan, 0, 1, 0, 1, 0, 1]
    evolution = measure_evolution(
        shares_by_half(make_log([[[0]] * 4] * 2, depth=depth), make_interests(1)), 19, np.random.default_rng(0)
    )
    assert np.isnan(evolution.p_depth[0])
    assert np.isnan(evolution.depth[0])
    assert not np.isnan(evolution.p_depth[1])


def test_interests_in_one_window_only_cannot_be_compared():
    evolution = measure_evolution(
        shares_by_half(make_log([[[0], [0], [4], [4]], [[0]], []]), make_interests(2)), 19, np.random.default_rng(0)
    )
    for values in (
        evolution.displacement,
        evolution.p_displacement,
        evolution.entropy,
        evolution.entropy_after,
        evolution.p_entropy,
    ):
        assert np.isnan(values).all()
    assert evolution.evolved_in.tolist() == [-1, -1, -1]
    assert np.isfinite(evolution.intensity).tolist() == [True, False, False]


def test_identical_events_have_not_evolved():
    evolution = measure_evolution(shares_by_half(make_log([[[0]] * 8]), make_interests(1)), 49, np.random.default_rng(0))
    assert evolution.displacement[0] == pytest.approx(0, abs=1e-9)
    assert evolution.p_displacement[0] == evolution.p_entropy[0] == 1


def test_items_without_vectors_cause_no_evolution():
    """New items are absent from training: their vectors are zero, and their events are late."""
    interests = make_interests(1)
    interests.vectors[2:] = interests.vectors[0]
    interests.vectors[3] = 0
    log = make_log([[[0]] * 8 + [[0], [3]] * 4] * 50)
    evolution = measure_evolution(shares_by_half(log, interests), 199, np.random.default_rng(0))
    assert (evolution.p_displacement <= LEVEL).mean() <= LEVEL


def test_excluded_users_have_no_result_and_the_others_are_unchanged():
    interests = make_interests(K)
    shares = shares_by_half(sample_log(constant_shares(20, K, 1), 12, interests, 2), interests)
    subset = measure_evolution(shares.keep_users(np.arange(20) < 10), 49, np.random.default_rng(0))
    assert np.isnan(subset.p_displacement[10:]).all()
    all_users = measure_evolution(shares, 49, np.random.default_rng(0))
    np.testing.assert_allclose(subset.displacement[:10], all_users.displacement[:10], rtol=1e-5)
