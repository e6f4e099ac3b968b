"""Segments of users, what marks them, and the moves between them."""

import numpy as np
import polars as pl
import pytest
from scipy import stats
from session_logs import alike, drawn, flat, halved, made, shop

from interestlab.drift.sections.segments import list_moves
from interestlab.drift.segmentation import cluster_users, compute_lifts

K = 4


def found(shares, count=4, draws=99, seed=0, ratio=None):
    ratio = np.ones(len(shares.user)) if ratio is None else ratio
    return cluster_users(shares, ratio, count, draws, np.random.default_rng(seed))


def kinds(users, seed, sharp=0.7):
    """Users of four kinds, each fond of one interest."""
    kind = np.random.default_rng(seed).integers(K, size=users)
    shares = np.full((users, 1, K), (1 - sharp) / (K - 1))
    shares[np.arange(users), 0, kind] = sharp
    return shares, kind


def test_segments_are_the_kinds_of_users_and_are_called_by_what_they_like():
    shopped, (shares, kind) = shop(K), kinds(200, 0, 0.9)
    held = found(halved(drawn(shares, 20, shopped, 1), shopped))
    assert sorted(held.names) == [f"interest {k}" for k in range(K)]
    assert np.mean([held.names[s] == f"interest {k}" for s, k in zip(held.user_segment, kind, strict=True)]) > 0.97


def test_moves_add_up_to_the_users_of_two_windows():
    shopped = shop(K)
    shares = halved(drawn(alike(150, K, 1), np.arange(150) % 9 + 1, shopped, 2), shopped)
    held = found(shares)
    both = (shares.sessions_after > 0).sum()
    assert held.moves.sum() == both
    assert held.moves_by_chance.sum() == pytest.approx(both)
    assert ((held.before >= 0) == (shares.sessions_after > 0)).all()
    for s in range(len(held.names)):
        for t in range(len(held.names)):
            assert held.moves[s, t] == ((held.before == s) & (held.after == t)).sum()


def test_a_segment_that_swings_is_found_and_the_others_are_not():
    shopped, (shares, kind) = shop(K), kinds(240, 0)
    swung = np.repeat(shares, 8, axis=1)
    swung[kind == 0, 4:] = np.roll(shares, 1, axis=2)[kind == 0]
    held = found(halved(drawn(swung, 8, shopped, 1), shopped), count=6)
    to_1 = np.array(
        [set(np.flatnonzero(held.user_segment == s)) <= set(np.flatnonzero(kind == 0)) for s in range(len(held.names))]
    )
    share = np.array([(kind[held.user_segment == s] == 0).mean() for s in range(len(held.names))])
    assert held.p[share > 0.8].max(initial=0) <= 0.01
    assert (share > 0.8).any()
    assert held.p[share < 0.05].min(initial=1) > 0.005
    for s in np.flatnonzero(to_1):
        assert held.change[s].argmax() == 1
        assert held.change[s].argmin() == 0


@pytest.mark.parametrize("sessions", [2, 3, 4])
def test_users_too_small_to_be_tested_alone_are_seen_together(sessions):
    """Even of two sessions each: were their permutations shared, a swap of everyone would look as the observed does."""
    before = sessions - sessions // 2
    shares = halved(made([[[0]] * before + [[4]] * (sessions - before)] * 100 + [[[8], [8]]] * 100), shop(K))
    held = found(shares, count=2)
    swung = held.user_segment[0]
    assert held.tv[swung] == pytest.approx(1)
    assert held.p[swung] == pytest.approx(0.01)
    assert held.tv_by_chance[swung] < 0.5
    assert held.p[held.user_segment[-1]] == 1


def test_p_values_of_segments_are_near_their_level_where_nothing_moves():
    shopped, p, moves = shop(K), [], []
    for seed in range(25):
        log = drawn(alike(150, K, 500 + seed), 6, shopped, seed, mean=2)
        held = found(halved(log, shopped), draws=59, seed=1000 + seed)
        p += held.p.tolist()
        moves += held.p_moves[~np.eye(len(held.names), dtype=bool)].tolist()
    assert np.mean(np.array(p) <= 0.05) <= stats.binom.isf(1e-3, len(p), 0.05) / len(p)
    told = np.array(moves)[~np.isnan(moves)]
    assert np.mean(told <= 0.05) < 0.1  # moves of one analysis hang together
    assert np.mean(np.array(p) <= 0.5) > 0.35


def test_moves_beyond_chance_are_found():
    shopped, (shares, kind) = shop(K), kinds(400, 0, 0.9)
    swung = np.repeat(shares, 16, axis=1)
    first = np.flatnonzero(kind == 0)[:30]
    swung[first, 8:] = np.roll(shares, 1, axis=2)[first]
    held = found(halved(drawn(swung, 16, shopped, 1), shopped))
    table = list_moves(held)
    moved = table.filter(source="interest 0", destination="interest 1").row(0, named=True)
    assert moved["users"] > 2 * moved["by_chance"]
    assert moved["q"] < 0.01
    assert table.filter(pl.col("source") == pl.col("destination"))["p"].null_count() == len(held.names)
    assert table["users"].sum() == 400


def test_users_in_another_order_are_the_same_segments():
    shopped, (shares, _) = shop(K), kinds(120, 0, 0.97)
    log = drawn(shares, 8, shopped, 1)
    backwards = np.argsort(-log.user, kind="stable")
    turned = flat(119 - log.user[backwards], log.time[backwards], log.item[backwards], items=log.items)
    first, second = (found(halved(p, shopped), draws=399) for p in (log, turned))
    assert set(first.names) == set(second.names)
    there = [second.names.index(name) for name in first.names]
    assert [first.names[s] for s in first.user_segment] == [second.names[s] for s in second.user_segment[::-1]]
    np.testing.assert_allclose(first.tv, second.tv[there], atol=1e-6)
    np.testing.assert_array_equal(first.moves, second.moves[np.ix_(there, there)])
    np.testing.assert_allclose(first.p, second.p[there], atol=0.12)  # 5 standard errors of 399 draws


def test_what_everyone_does_is_not_a_segments_own_change():
    shopped = shop(2)
    shares = halved(made([[[0], [0], [0], [4], [0], [4], [4], [4]]] * 30), shopped)
    held = found(shares, count=1, ratio=np.tile([1 / 3, 3], 30))
    assert held.tv[0] == pytest.approx(0, abs=1e-5)


def test_users_all_alike_are_one_segment():
    held = found(halved(made([[[0], [4]]] * 5), shop(2)), count=6)
    assert len(held.names) == 1
    assert held.moves.tolist() == [[5]]


def test_a_log_without_two_windows_has_segments_and_no_moves():
    held = found(halved(made([[[0]], [[4]], []]), shop(2)), count=2)
    assert held.user_segment.tolist()[2] == -1
    assert set(held.before) == set(held.after) == {-1}
    assert held.moves.sum() == 0
    assert np.isfinite(held.p).all()
    assert list_moves(held)["users"].sum() == 0


def test_lifts_are_shares_over_those_of_everyone():
    segment, user = np.array([0, 0, 1, -1]), np.array([0, 0, 1, 2, 2, 2, 2])
    label = np.array([0, 1, 0, 1, 1, 1, 0])
    lift, p = compute_lifts(segment, user, label, 2, 2)
    everyone = np.array([(0.5 + 1 + 0.25), (0.5 + 0 + 0.75)]) / 3
    np.testing.assert_allclose(lift, [np.array([0.75, 0.25]) / everyone, np.array([0.25, 0.75]) / everyone])
    assert ((p >= 0) & (p <= 1)).all()


def test_a_brand_that_a_segment_prefers_is_told_apart():
    rng = np.random.default_rng(0)
    segment, user = np.repeat([0, 1], 100), np.repeat(np.arange(200), 6)
    label = np.where(rng.random(1200) < np.where(segment[user] == 0, 0.6, 0.3), 0, 1 + rng.integers(3, size=1200))
    lift, p = compute_lifts(segment, user, label, 2, 4)
    assert lift[0, 0] > 1.2 > 1 > lift[1, 0]
    assert p[0, 0] < 1e-4
    assert p[1, 0] > 0.99


def test_a_preference_of_everyone_in_a_segment_is_the_surest():
    segment, user = np.repeat([0, 1], 20), np.arange(40)
    lift, p = compute_lifts(segment, user, segment[user], 2, 2)
    np.testing.assert_allclose(lift, [[2, 0], [0, 2]])
    assert p[0, 0] < 1e-4
