"""Segments of users, their lifts, and the moves between them."""

import numpy as np
import polars as pl
import pytest
from scipy import stats
from session_logs import constant_shares, log_from_events, make_interests, make_log, sample_log, shares_by_half

from interestlab.drift.sections.segments import list_moves
from interestlab.drift.segmentation import cluster_users, compute_lifts

K = 4


def cluster(shares, count=4, draws=99, seed=0, ratio=None):
    ratio = np.ones(len(shares.user)) if ratio is None else ratio
    return cluster_users(shares, ratio, count, draws, np.random.default_rng(seed))


def shares_by_kind(users, seed, preferred_share=0.7):
    """Shares and kinds of users of four kinds, each of which prefers one interest."""
    kind = np.random.default_rng(seed).integers(K, size=users)
    shares = np.full((users, 1, K), (1 - preferred_share) / (K - 1))
    shares[np.arange(users), 0, kind] = preferred_share
    return shares, kind


def test_segments_are_the_kinds_of_users_and_are_named_by_their_interest():
    interests, (shares, kind) = make_interests(K), shares_by_kind(200, 0, 0.9)
    segmentation = cluster(shares_by_half(sample_log(shares, 20, interests, 1), interests))
    assert sorted(segmentation.names) == [f"interest {k}" for k in range(K)]
    assert (
        np.mean([segmentation.names[s] == f"interest {k}" for s, k in zip(segmentation.user_segment, kind, strict=True)]) > 0.97
    )


def test_moves_add_up_to_the_users_with_two_windows():
    interests = make_interests(K)
    shares = shares_by_half(sample_log(constant_shares(150, K, 1), np.arange(150) % 9 + 1, interests, 2), interests)
    segmentation = cluster(shares)
    expected = (shares.sessions_after > 0).sum()
    assert segmentation.moves.sum() == expected
    assert segmentation.moves_under_null.sum() == pytest.approx(expected)
    assert ((segmentation.before >= 0) == (shares.sessions_after > 0)).all()
    for s in range(len(segmentation.names)):
        for t in range(len(segmentation.names)):
            assert segmentation.moves[s, t] == ((segmentation.before == s) & (segmentation.after == t)).sum()


def test_only_the_segment_that_swings_is_detected():
    interests, (shares, kind) = make_interests(K), shares_by_kind(240, 0)
    swinging_shares = np.repeat(shares, 8, axis=1)
    swinging_shares[kind == 0, 4:] = np.roll(shares, 1, axis=2)[kind == 0]
    segmentation = cluster(shares_by_half(sample_log(swinging_shares, 8, interests, 1), interests), count=6)
    swings = np.array(
        [
            set(np.flatnonzero(segmentation.user_segment == s)) <= set(np.flatnonzero(kind == 0))
            for s in range(len(segmentation.names))
        ]
    )
    swinging_fraction = np.array([(kind[segmentation.user_segment == s] == 0).mean() for s in range(len(segmentation.names))])
    assert segmentation.p[swinging_fraction > 0.8].max(initial=0) <= 0.01
    assert (swinging_fraction > 0.8).any()
    assert segmentation.p[swinging_fraction < 0.05].min(initial=1) > 0.005
    for s in np.flatnonzero(swings):
        assert segmentation.change[s].argmax() == 1
        assert segmentation.change[s].argmin() == 0


@pytest.mark.parametrize("sessions", [2, 3, 4])
def test_users_with_too_few_sessions_are_detected_together(sessions):
    """Even with two sessions each: if users shared permutations, a swap for all users would equal the observed change."""
    before = sessions - sessions // 2
    shares = shares_by_half(
        make_log([[[0]] * before + [[4]] * (sessions - before)] * 100 + [[[8], [8]]] * 100), make_interests(K)
    )
    segmentation = cluster(shares, count=2)
    segment = segmentation.user_segment[0]
    assert segmentation.tv[segment] == pytest.approx(1)
    assert segmentation.p[segment] == pytest.approx(0.01)
    assert segmentation.tv_under_null[segment] < 0.5
    assert segmentation.p[segmentation.user_segment[-1]] == 1


def test_p_values_of_segments_keep_their_level_without_change():
    interests, p, moves = make_interests(K), [], []
    for seed in range(25):
        log = sample_log(constant_shares(150, K, 500 + seed), 6, interests, seed, mean=2)
        segmentation = cluster(shares_by_half(log, interests), draws=59, seed=1000 + seed)
        p += segmentation.p.tolist()
        moves += segmentation.p_moves[~np.eye(len(segmentation.names), dtype=bool)].tolist()
    assert np.mean(np.array(p) <= 0.05) <= stats.binom.isf(1e-3, len(p), 0.05) / len(p)
    tested = np.array(moves)[~np.isnan(moves)]
    assert np.mean(tested <= 0.05) < 0.1  # moves of one analysis are correlated
    assert np.mean(np.array(p) <= 0.5) > 0.35


def test_moves_more_frequent_than_under_the_null_are_detected():
    interests, (shares, kind) = make_interests(K), shares_by_kind(400, 0, 0.9)
    swinging_shares = np.repeat(shares, 16, axis=1)
    swinging_users = np.flatnonzero(kind == 0)[:30]
    swinging_shares[swinging_users, 8:] = np.roll(shares, 1, axis=2)[swinging_users]
    segmentation = cluster(shares_by_half(sample_log(swinging_shares, 16, interests, 1), interests))
    table = list_moves(segmentation)
    moved = table.filter(source="interest 0", destination="interest 1").row(0, named=True)
    assert moved["users"] > 2 * moved["under_null"]
    assert moved["q"] < 0.01
    assert table.filter(pl.col("source") == pl.col("destination"))["p"].null_count() == len(segmentation.names)
    assert table["users"].sum() == 400


def test_segments_do_not_depend_on_the_order_of_users():
    interests, (shares, _) = make_interests(K), shares_by_kind(120, 0, 0.97)
    log = sample_log(shares, 8, interests, 1)
    backwards = np.argsort(-log.user, kind="stable")
    reordered = log_from_events(119 - log.user[backwards], log.time[backwards], log.item[backwards], items=log.items)
    first, second = (cluster(shares_by_half(candidate, interests), draws=399) for candidate in (log, reordered))
    assert set(first.names) == set(second.names)
    order = [second.names.index(name) for name in first.names]
    assert [first.names[s] for s in first.user_segment] == [second.names[s] for s in second.user_segment[::-1]]
    np.testing.assert_allclose(first.tv, second.tv[order], atol=1e-6)
    np.testing.assert_array_equal(first.moves, second.moves[np.ix_(order, order)])
    np.testing.assert_allclose(first.p, second.p[order], atol=0.12)  # 5 standard errors of 399 draws


def test_a_catalogue_shift_is_not_a_change_of_a_segment():
    interests = make_interests(2)
    shares = shares_by_half(make_log([[[0], [0], [0], [4], [0], [4], [4], [4]]] * 30), interests)
    segmentation = cluster(shares, count=1, ratio=np.tile([1 / 3, 3], 30))
    assert segmentation.tv[0] == pytest.approx(0, abs=1e-5)


def test_identical_users_are_one_segment():
    segmentation = cluster(shares_by_half(make_log([[[0], [4]]] * 5), make_interests(2)), count=6)
    assert len(segmentation.names) == 1
    assert segmentation.moves.tolist() == [[5]]


def test_a_log_without_two_windows_has_segments_but_no_moves():
    segmentation = cluster(shares_by_half(make_log([[[0]], [[4]], []]), make_interests(2)), count=2)
    assert segmentation.user_segment.tolist()[2] == -1
    assert set(segmentation.before) == set(segmentation.after) == {-1}
    assert segmentation.moves.sum() == 0
    assert np.isfinite(segmentation.p).all()
    assert list_moves(segmentation)["users"].sum() == 0


def test_lifts_are_shares_over_those_of_all_users():
    segment, user = np.array([0, 0, 1, -1]), np.array([0, 0, 1, 2, 2, 2, 2])
    label = np.array([0, 1, 0, 1, 1, 1, 0])
    lift, p = compute_lifts(segment, user, label, 2, 2)
    overall = np.array([(0.5 + 1 + 0.25), (0.5 + 0 + 0.75)]) / 3
    np.testing.assert_allclose(lift, [np.array([0.75, 0.25]) / overall, np.array([0.25, 0.75]) / overall])
    assert ((p >= 0) & (p <= 1)).all()


def test_the_preferred_brand_of_a_segment_is_significant():
    rng = np.random.default_rng(0)
    segment, user = np.repeat([0, 1], 100), np.repeat(np.arange(200), 6)
    label = np.where(rng.random(1200) < np.where(segment[user] == 0, 0.6, 0.3), 0, 1 + rng.integers(3, size=1200))
    lift, p = compute_lifts(segment, user, label, 2, 4)
    assert lift[0, 0] > 1.2 > 1 > lift[1, 0]
    assert p[0, 0] < 1e-4
    assert p[1, 0] > 0.99


def test_a_preference_of_all_users_of_a_segment_is_significant():
    segment, user = np.repeat([0, 1], 20), np.arange(40)
    lift, p = compute_lifts(segment, user, segment[user], 2, 2)
    np.testing.assert_allclose(lift, [[2, 0], [0, 2]])
    assert p[0, 0] < 1e-4
