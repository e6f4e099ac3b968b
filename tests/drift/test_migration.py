"""Whether attention moved: exact where it can be counted, at its level where nothing moved."""

import numpy as np
import pytest
from scipy import stats
from session_logs import alike, drawn, flat, halved, items_of, made, shop

from interestlab.drift.migration import measure_migration, measure_moves
from interestlab.drift.population import calendar_edges, catalogue_shift
from interestlab.drift.shares import InterestShares, half_the_sessions, sessions_since
from interestlab.stats.divergence import jensen_shannon, standardised_range, total_variation
from interestlab.stats.permutation import UnitFeatures, monte_carlo_p_values, permutation_replicates

K = 4
LEVEL = 0.05


def bound(trials, level=LEVEL):
    """Rejections that a valid test exceeds once in 10,000 times."""
    return stats.binom.isf(1e-4, trials, level) / trials


def test_numbers_are_those_counted_by_hand():
    log = made([[[0, 0], [0, 4], [8], [8, 8]], [[0], [0]], [[5]]])
    found = measure_migration(halved(log, shop(K)), 19, np.random.default_rng(0))
    before, after = np.array([3, 1, 0, 0]) / 4, np.array([0, 0, 3, 0]) / 3
    assert found.tv[0] == pytest.approx(total_variation(before, after))
    assert found.js[0] == pytest.approx(jensen_shannon(before, after))
    assert found.span[0] == pytest.approx(standardised_range(np.array([3, 1, 0]), np.array([0, 0, 3])))
    assert found.moved[0] == pytest.approx(1)
    assert (found.source[0], found.destination[0]) == (0, 2)
    assert found.tv[1] == found.moved[1] == 0
    assert found.p_tv[1] == found.p_span[1] == 1
    for what in (found.tv, found.p_tv, found.p_span, found.moved, found.excess, found.tv_by_chance):
        assert np.isnan(what[2])  # one session has no second window
    assert found.source[2] == found.destination[2] == -1


def test_halves_count_sessions_whatever_their_length():
    log = made([[[0] * 3, [0], [0] * 4], [[0] * 9, [0]], [[0]], [], [[0], [0], [0]]])
    assert half_the_sessions(log).tolist() == [1, 1, 0, 0, 1]


def test_a_date_parts_everyone_at_once():
    log = made([[[0], [4], [8]], [[0]], []])
    moment = int(log.time[1])
    assert sessions_since(log, moment).tolist() == [2, 0, 0]
    assert sessions_since(log, 0).tolist() == [3, 1, 0]
    assert sessions_since(log, moment * 2).tolist() == [0, 0, 0]
    for second in (sessions_since(log, 0), sessions_since(log, moment * 2)):
        assert np.isnan(measure_migration(InterestShares(log, shop(K), second), 19, np.random.default_rng(0)).tv).all()


def test_p_values_are_near_their_level_where_nothing_moves():
    shopped = shop(K)
    found = measure_migration(halved(drawn(alike(1500, K, 1), 12, shopped, 2), shopped), 199, np.random.default_rng(3))
    for p in (found.p_tv, found.p_js, found.p_span):
        for level in (0.01, LEVEL, 0.2):
            assert (p <= level).mean() <= bound(len(p), level)
        assert (p <= 0.5).mean() > 0.4  # and not by never answering


def test_permuting_events_instead_of_sessions_would_call_many_falsely():
    shopped = shop(K)
    shares = halved(drawn(alike(600, K, 1), 12, shopped, 2), shopped)
    log = shares.log
    events = InterestShares(_single(log), shopped, np.diff(log.offsets) - np.bincount(log.user[~shares.is_after[log.session]]))
    there, wrong = (measure_migration(a, 99, np.random.default_rng(3)) for a in (shares, events))
    np.testing.assert_allclose(there.tv, wrong.tv, atol=1e-6)
    assert (there.p_span <= LEVEL).mean() <= bound(600)
    assert (wrong.p_span <= LEVEL).mean() > 3 * bound(600)


def _single(log):
    """Every event a session of its own."""
    return flat(log.user, log.time, log.item, users=len(log.users), items=log.items, session_gap=0)


@pytest.mark.parametrize("heavy", ["long sessions now and then", "one long session"])
def test_long_sessions_do_not_make_migrations(heavy):
    """The middle of the events lies next to a long session, and must not make chance look like a change."""
    rng, shopped, users, sessions = np.random.default_rng(0), shop(K), 1000, 24
    theta = alike(users, K, 7)[:, 0]
    size = np.minimum(1 + (rng.pareto(1, (users, sessions)) * 2).astype(int), 200)
    if heavy == "one long session":
        size = np.where(np.arange(sessions) == rng.integers(sessions, size=users)[:, None], 60, 1)
    interest = np.stack([rng.choice(K, sessions, p=p) for p in theta])
    told = made([[[4 * k] * n for k, n in zip(ks, ns, strict=True)] for ks, ns in zip(interest, size, strict=True)])
    found = measure_migration(halved(told, shopped), 99, np.random.default_rng(1))
    assert (found.p_span <= 0.1).mean() <= bound(users, 0.1)


def moved(users, interests, seed):
    """Users of whom each swings from one interest to another in the middle of 30 sessions."""
    rng = np.random.default_rng(seed)
    source = rng.integers(interests, size=users)
    destination = (source + rng.integers(1, interests, size=users)) % interests
    rest = 0.3 * rng.dirichlet(np.ones(interests), users)
    shares = np.repeat(rest[:, None], 30, 1)
    shares[np.arange(users), :15, source] += 0.7
    shares[np.arange(users)[:, None], np.arange(15, 30), destination[:, None]] += 0.7
    return shares, source, destination


def test_migrators_are_found_with_where_from_and_where_to():
    shopped, (shares, source, destination) = shop(K), moved(300, K, 0)
    found = measure_migration(halved(drawn(shares, 30, shopped, 1), shopped), 199, np.random.default_rng(2))
    assert (found.p_span <= LEVEL).mean() > 0.85
    assert (found.source == source).mean() > 0.95
    assert (found.destination == destination).mean() > 0.95
    assert np.median(found.excess) > 2
    assert found.tv_by_chance.mean() < 0.5 * found.tv.mean()


def drifting(users, sessions, seed, pull):
    """Nobody changes, but the shop does: the first interest gains over time what the last one loses."""
    theta = alike(users, K, seed, sharp=3.0)
    tilt = np.linspace(-pull, pull, sessions)[:, None] * np.linspace(1, -1, K)
    weight = theta * np.exp(tilt)
    return weight / weight.sum(-1, keepdims=True)


def test_the_drift_of_the_whole_catalogue_is_no_migration():
    """What everyone does makes the plain test call many users; weighted by the catalogue's drift it keeps its level."""
    shopped, users, sessions = shop(K), 1000, 24
    log = drawn(drifting(users, sessions, 5, 1.2), sessions, shopped, 6)
    shares = halved(log, shopped)
    ratio = catalogue_shift(shares, calendar_edges(log, 6))
    plain, weighted = (measure_migration(shares, 199, np.random.default_rng(7), r) for r in (None, ratio))
    false_alarms = [(f.p_span <= LEVEL).mean() for f in (plain, weighted)]
    assert false_alarms[0] > 2 * LEVEL
    assert false_alarms[0] > 2 * false_alarms[1]
    # The drift is estimated and of sessions that are not all alike: near its level, not at it.
    assert false_alarms[1] < 1.6 * LEVEL
    assert weighted.moved.mean() < plain.moved.mean()


def test_migrators_are_found_though_the_catalogue_drifts():
    shopped, (shares, source, destination) = shop(K), moved(200, K, 3)
    still = drifting(800, 30, 1, 0.4)
    log = drawn(np.concatenate([shares, still]), 30, shopped, 2)
    shares = halved(log, shopped)
    found = measure_migration(shares, 199, np.random.default_rng(4), catalogue_shift(shares, calendar_edges(log, 6)))
    assert (found.p_span[:200] <= LEVEL).mean() > 0.75
    assert (found.destination[:200] == destination).mean() > 0.9
    assert (found.source[:200] == source).mean() > 0.9


def test_a_catalogue_that_stands_still_changes_nothing():
    shopped = shop(K)
    shares = halved(drawn(alike(50, K, 1), 10, shopped, 2), shopped)
    plain = measure_migration(shares, 99, np.random.default_rng(0))
    for level in (1.0, 3.0):  # a ratio that is the same for all interests is none
        other = measure_migration(shares, 99, np.random.default_rng(0), np.full(len(shares.user), level))
        np.testing.assert_allclose(other.p_span, plain.p_span, atol=1e-5)
        np.testing.assert_allclose(other.moved, plain.moved, atol=1e-9)


def test_weights_make_the_test_of_a_known_drift_exact():
    """Harrison's weights with the true ratio: p-values of a two-interest null that is tilted by r keep their level."""
    rng, sessions, users, r = np.random.default_rng(0), 12, 2000, 4.0
    late = np.arange(sessions) >= sessions // 2
    theta = rng.uniform(0.2, 0.8, users)[:, None]
    odds = theta / (1 - theta) * np.where(late, r, 1)
    label = (rng.random((users, sessions)) < odds / (1 + odds)).astype(int)
    shares = halved(made([[[4 * k] for k in row] for row in label]), shop(2))
    groups, cells = shares.session_groups
    interest = shares.interest[shares.offsets[shares.log.user[shares.log.session_starts]] + cells.feature]
    weight = (np.log(r) * interest).astype(np.float32)

    def share(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return second[None, ..., 0] - first[None, ..., 0]

    told = UnitFeatures(cells.unit, np.zeros(len(cells.unit), np.int64), interest.astype(np.float32))
    for given, fits in ((weight, True), (None, False)):
        p = np.full(users, np.nan)
        for index, values, weights in permutation_replicates(groups, told, share, 199, np.random.default_rng(1), given):
            p[index] = monte_carlo_p_values(values, weights)[0]
        assert ((p <= LEVEL).mean() <= bound(users)) == fits


def test_other_names_of_interests_change_no_answer():
    shopped, shares = shop(K), moved(60, K, 3)[0]
    log = drawn(shares, 30, shopped, 1)
    order = np.array([2, 0, 3, 1])
    other = type(shopped)(
        [f"interest {k}" for k in range(K)],
        order[shopped.item_interest],
        shopped.leaves,
        shopped.leaf,
        shopped.vectors,
        "made up",
    )
    first, second = (measure_migration(halved(log, s), 99, np.random.default_rng(0)) for s in (shopped, other))
    for what in ("tv", "js", "span", "p_tv", "p_js", "p_span", "moved"):
        np.testing.assert_allclose(getattr(first, what), getattr(second, what), atol=1e-6)
    np.testing.assert_array_equal(order[first.source], second.source)


def test_users_in_another_order_have_the_same_answers_but_for_the_draws():
    shopped, shares = shop(K), moved(60, K, 3)[0]
    log = drawn(shares, 30, shopped, 1)
    backwards = np.argsort(-log.user, kind="stable")
    turned = flat(59 - log.user[backwards], log.time[backwards], log.item[backwards], items=log.items)
    first, second = (measure_migration(halved(p, shopped), 999, np.random.default_rng(0)) for p in (log, turned))
    for what in ("tv", "js", "span", "moved", "source"):
        np.testing.assert_allclose(getattr(first, what), getattr(second, what)[::-1], atol=1e-6)
    p = (first.p_span + second.p_span[::-1]) / 2
    apart = np.abs(first.p_span - second.p_span[::-1])
    assert (apart <= 5 * np.sqrt(2 * p * (1 - p) / 1000) + 2 / 1000).all()


def test_one_interest_alone_can_only_stay():
    shares = halved(made([[[0], [1], [2], [3]]] * 2), shop(1))
    found = measure_migration(shares, 19, np.random.default_rng(0))
    assert not found.tv.any()
    assert (found.p_span == 1).all()
    assert not measure_moves(shares)[0].any()


def test_an_empty_log_has_no_answers():
    empty = flat(np.empty(0), np.empty(0), np.empty(0), users=2, items=items_of(8))
    found = measure_migration(halved(empty, shop(2)), 19, np.random.default_rng(0))
    assert np.isnan(found.tv).all()
