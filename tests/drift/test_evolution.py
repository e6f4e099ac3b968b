"""Whether interests deepened: exact where it can be counted, at its level where nothing did."""

import numpy as np
import pytest
from scipy import stats
from session_logs import DAY, alike, drawn, flat, halved, made, shop

from interestlab.drift.evolution import measure_evolution
from interestlab.drift.leaves import corrected_entropy
from interestlab.drift.shares import InterestShares

K, LEVEL = 4, 0.05


def bound(trials, level=LEVEL):
    """Rejections that a valid test exceeds once in 10,000 times."""
    return stats.binom.isf(1e-4, trials, level) / trials


def narrowed(users, sessions, seed, leaves, much=0.75):
    """Users of equal interests; each goes over to one leaf of all of them in the middle."""
    rng = np.random.default_rng(seed)
    shares = np.full((users, sessions, leaves), 1 / leaves)
    favourite = rng.integers(leaves, size=users)
    late = np.arange(sessions) >= sessions // 2
    shares[:, late] *= 1 - much
    shares[np.arange(users)[:, None], np.flatnonzero(late), favourite[:, None]] += much
    return shares


def test_numbers_are_those_counted_by_hand():
    shopped = shop(2, leaves=2, each=2)  # items 0 1 | 2 3 of interest 0, 4 5 | 6 7 of interest 1
    log = made([[[0], [0, 2], [4], [2], [2, 2]]], depth=[0, 0, 0.5, np.nan, 1, 1, 0.5])
    shares = InterestShares(log, shopped, np.array([3]))  # 0 0 2 | 4 2 2 2
    found = measure_evolution(shares, 49, np.random.default_rng(0))
    here, there = shopped.vectors[[0, 2]].astype(float)
    assert found.displacement[0] == pytest.approx(9 * ((there - (2 * here + there) / 3) ** 2).sum(), rel=1e-5)
    assert found.evolved_in[0] == 0
    plain = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
    assert found.entropy[0] == pytest.approx(plain + 1 / (6 * np.log(2)), rel=1e-5)  # Miller and Madow
    assert found.entropy_after[0] == 0
    assert found.depth[0] == pytest.approx(0.5 / 3)
    assert found.depth_after[0] == pytest.approx(2.5 / 3)
    begin, middle, end = log.time[0], log.time[3], log.time[-1]
    assert found.intensity[0] == pytest.approx(3 / ((middle - begin) / DAY))
    assert found.intensity_after[0] == pytest.approx(3 / ((end - middle) / DAY))


def test_entropy_of_counts():
    counts = np.array([[4.0, 0, 0], [2, 2, 0], [0, 0, 0]])
    np.testing.assert_allclose(corrected_entropy(counts), [0, 1 + 1 / (8 * np.log(2)), 0], rtol=1e-6)


def test_the_correction_of_entropy_makes_few_events_comparable():
    rng, p = np.random.default_rng(0), np.array([0.5, 0.3, 0.2])
    told = [corrected_entropy(rng.multinomial(n, p, 4000)).mean() for n in (12, 200)]
    truth = -(p * np.log2(p)).sum()
    assert told == pytest.approx([truth, truth], abs=0.03)


def test_p_values_are_near_their_level_where_nothing_deepens():
    shopped = shop(K)
    log = drawn(alike(1200, K, 1), 20, shopped, 2)
    depth = np.random.default_rng(3).choice([0, 0.5, 1], len(log.time))
    log = flat(log.user, log.time, log.item, items=log.items, depth=depth)
    found = measure_evolution(halved(log, shopped), 199, np.random.default_rng(4))
    for p in (found.p_displacement, found.p_entropy, found.p_depth):
        for level in (0.01, LEVEL, 0.2):
            assert (p <= level).mean() <= bound(len(p), level)
        assert (p <= 0.5).mean() > 0.3


def test_permuting_events_instead_of_sessions_would_call_many_falsely():
    shopped = shop(K)
    shares = halved(drawn(alike(600, K, 1), 20, shopped, 2), shopped)
    log = shares.log
    single = flat(log.user, log.time, log.item, users=600, items=log.items, session_gap=0)
    late = np.bincount(log.user[shares.is_after[log.session]], minlength=600)
    wrong = measure_evolution(InterestShares(single, shopped, late), 99, np.random.default_rng(3))
    there = measure_evolution(shares, 99, np.random.default_rng(3))
    assert (there.p_displacement <= LEVEL).mean() <= bound(600)
    assert (wrong.p_displacement <= LEVEL).mean() > 3 * bound(600)


def test_those_who_narrow_are_found_and_migrators_are_not():
    few = shop(2, leaves=4)
    narrow = drawn(alike(200, 2, 1, sharp=9), 40, few, 2, leaf_shares=narrowed(200, 40, 3, 4, 0.9))
    found = measure_evolution(halved(narrow, few), 199, np.random.default_rng(4))
    shopped = shop(K)
    assert (found.p_displacement <= LEVEL).mean() > 0.6
    assert (found.p_entropy <= LEVEL).mean() > 0.6
    assert (found.entropy - found.entropy_after).mean() > 0.2
    rng = np.random.default_rng(5)
    shares = np.repeat(rng.dirichlet(np.ones(K), (400, 2)), 20, axis=1)  # other interests, but no other leaves
    moved = measure_evolution(halved(drawn(shares, 40, shopped, 6), shopped), 199, np.random.default_rng(7))
    assert np.nanmean(moved.p_displacement <= LEVEL) <= bound(400)
    assert np.nanmean(moved.p_entropy <= LEVEL) <= bound(400)


def test_the_interest_that_changed_is_named():
    shopped = shop(2)
    log = made([[[4], [0]] * 6 + [[4], [2]] * 6, [[4], [0]] * 6 + [[6], [0]] * 6])
    found = measure_evolution(halved(log, shopped), 199, np.random.default_rng(0))
    assert found.evolved_in.tolist() == [0, 1]
    assert (found.p_displacement <= 0.01).all()


def test_going_down_the_funnel_is_found_both_ways():
    history = [[0]] * 20
    depth = np.r_[np.zeros(10), np.ones(10), np.ones(10), np.zeros(10), np.tile([0, 1], 10)]
    found = measure_evolution(halved(made([history] * 3, depth=depth), shop(1)), 199, np.random.default_rng(0))
    assert found.p_depth[0] <= 0.01
    assert found.p_depth[1] <= 0.01
    assert found.p_depth[2] > 0.5
    assert found.depth_after.tolist() == [1, 0, 0.5]


def test_a_log_of_one_type_says_nothing_of_depth():
    for depth in (np.full(4, np.nan), np.zeros(4)):
        found = measure_evolution(halved(made([[[0], [0], [0], [0]]], depth=depth), shop(1)), 19, np.random.default_rng(0))
        assert np.isnan([found.depth[0], found.depth_after[0], found.p_depth[0]]).all()


def test_a_window_without_types_says_nothing_of_depth():
    depth = [np.nan, np.nan, 0, 1, 0, 1, 0, 1]
    found = measure_evolution(halved(made([[[0]] * 4] * 2, depth=depth), shop(1)), 19, np.random.default_rng(0))
    assert np.isnan(found.p_depth[0])
    assert np.isnan(found.depth[0])
    assert not np.isnan(found.p_depth[1])


def test_interests_met_on_one_side_alone_cannot_be_compared():
    found = measure_evolution(halved(made([[[0], [0], [4], [4]], [[0]], []]), shop(2)), 19, np.random.default_rng(0))
    for what in (found.displacement, found.p_displacement, found.entropy, found.entropy_after, found.p_entropy):
        assert np.isnan(what).all()
    assert found.evolved_in.tolist() == [-1, -1, -1]
    assert np.isfinite(found.intensity).tolist() == [True, False, False]


def test_events_that_are_all_alike_have_not_evolved():
    found = measure_evolution(halved(made([[[0]] * 8]), shop(1)), 49, np.random.default_rng(0))
    assert found.displacement[0] == pytest.approx(0, abs=1e-9)
    assert found.p_displacement[0] == found.p_entropy[0] == 1


def test_items_of_which_nothing_is_known_do_not_make_evolution():
    """A vector of zeros says that nothing is known; new items that training never met have one, and come late."""
    shopped = shop(1)
    shopped.vectors[2:] = shopped.vectors[0]
    shopped.vectors[3] = 0
    late = made([[[0]] * 8 + [[0], [3]] * 4] * 50)
    found = measure_evolution(halved(late, shopped), 199, np.random.default_rng(0))
    assert (found.p_displacement <= LEVEL).mean() <= LEVEL


def test_who_is_left_out_has_no_answer_and_others_keep_theirs():
    shopped = shop(K)
    shares = halved(drawn(alike(20, K, 1), 12, shopped, 2), shopped)
    some = measure_evolution(shares.keep_users(np.arange(20) < 10), 49, np.random.default_rng(0))
    assert np.isnan(some.p_displacement[10:]).all()
    everyone = measure_evolution(shares, 49, np.random.default_rng(0))
    np.testing.assert_allclose(some.displacement[:10], everyone.displacement[:10], rtol=1e-5)
