"""Tests of migration: values by hand, and rejection rates with and without a change."""

import numpy as np
import pytest
from scipy import stats
from session_logs import constant_shares, log_from_events, make_interests, make_items, make_log, sample_log, shares_by_half

from interestlab.drift.migration import measure_migration, measure_moves
from interestlab.drift.population import calendar_edges, catalogue_shift
from interestlab.drift.shares import InterestShares, half_the_sessions, sessions_since
from interestlab.stats.divergence import jensen_shannon, standardised_range, total_variation
from interestlab.stats.permutation import UnitFeatures, monte_carlo_p_values, permutation_replicates

K = 4
LEVEL = 0.05


def max_rejection_rate(trials, level=LEVEL):
    """Rejection rate that a valid test exceeds once in 10,000 times."""
    return stats.binom.isf(1e-4, trials, level) / trials


def test_values_by_hand():
    log = make_log([[[0, 0], [0, 4], [8], [8, 8]], [[0], [0]], [[5]]])
    migration = measure_migration(shares_by_half(log, make_interests(K)), 19, np.random.default_rng(0))
    before, after = np.array([3, 1, 0, 0]) / 4, np.array([0, 0, 3, 0]) / 3
    assert migration.tv[0] == pytest.approx(total_variation(before, after))
    assert migration.js[0] == pytest.approx(jensen_shannon(before, after))
    assert migration.span[0] == pytest.approx(standardised_range(np.array([3, 1, 0]), np.array([0, 0, 3])))
    assert migration.moved[0] == pytest.approx(1)
    assert (migration.source[0], migration.destination[0]) == (0, 2)
    assert migration.tv[1] == migration.moved[1] == 0
    assert migration.p_tv[1] == migration.p_span[1] == 1
    for values in (migration.tv, migration.p_tv, migration.p_span, migration.moved, migration.excess, migration.tv_under_null):
        assert np.isnan(values[2])  # one session has no second window
    assert migration.source[2] == migration.destination[2] == -1


def test_halves_have_equally_many_sessions():
    log = make_log([[[0] * 3, [0], [0] * 4], [[0] * 9, [0]], [[0]], [], [[0], [0], [0]]])
    assert half_the_sessions(log).tolist() == [1, 1, 0, 0, 1]


def test_a_boundary_date_divides_every_history():
    log = make_log([[[0], [4], [8]], [[0]], []])
    boundary = int(log.time[1])
    assert sessions_since(log, boundary).tolist() == [2, 0, 0]
    assert sessions_since(log, 0).tolist() == [3, 1, 0]
    assert sessions_since(log, boundary * 2).tolist() == [0, 0, 0]
    for sessions_after in (sessions_since(log, 0), sessions_since(log, boundary * 2)):
        assert np.isnan(
            measure_migration(InterestShares(log, make_interests(K), sessions_after), 19, np.random.default_rng(0)).tv
        ).all()


def test_p_values_keep_their_level_without_migration():
    interests = make_interests(K)
    migration = measure_migration(
        shares_by_half(sample_log(constant_shares(1500, K, 1), 12, interests, 2), interests), 199, np.random.default_rng(3)
    )
    for p in (migration.p_tv, migration.p_js, migration.p_span):
        for level in (0.01, LEVEL, 0.2):
            assert (p <= level).mean() <= max_rejection_rate(len(p), level)
        assert (p <= 0.5).mean() > 0.4  # not because the test never rejects


def test_permuting_events_instead_of_sessions_gives_many_false_positives():
    interests = make_interests(K)
    shares = shares_by_half(sample_log(constant_shares(600, K, 1), 12, interests, 2), interests)
    log = shares.log
    events = InterestShares(
        single_event_sessions(log), interests, np.diff(log.offsets) - np.bincount(log.user[~shares.is_after[log.session]])
    )
    by_session, by_event = (measure_migration(candidate, 99, np.random.default_rng(3)) for candidate in (shares, events))
    np.testing.assert_allclose(by_session.tv, by_event.tv, atol=1e-6)
    assert (by_session.p_span <= LEVEL).mean() <= max_rejection_rate(600)
    assert (by_event.p_span <= LEVEL).mean() > 3 * max_rejection_rate(600)


def single_event_sessions(log):
    """The same log with every event in its own session."""
    return log_from_events(log.user, log.time, log.item, users=len(log.users), items=log.items, session_gap=0)


@pytest.mark.parametrize("case", ["occasional long sessions", "one long session"])
def test_long_sessions_cause_no_false_migrations(case):
    """The middle of the events is next to a long session, which must not make random variation look like a change."""
    rng, interests, users, sessions = np.random.default_rng(0), make_interests(K), 1000, 24
    theta = constant_shares(users, K, 7)[:, 0]
    size = np.minimum(1 + (rng.pareto(1, (users, sessions)) * 2).astype(int), 200)
    if case == "one long session":
        size = np.where(np.arange(sessions) == rng.integers(sessions, size=users)[:, None], 60, 1)
    interest = np.stack([rng.choice(K, sessions, p=p) for p in theta])
    log = make_log([[[4 * k] * n for k, n in zip(ks, ns, strict=True)] for ks, ns in zip(interest, size, strict=True)])
    migration = measure_migration(shares_by_half(log, interests), 99, np.random.default_rng(1))
    assert (migration.p_span <= 0.1).mean() <= max_rejection_rate(users, 0.1)


def migrating_shares(users, interests, seed):
    """Shares of users who each move from one interest to another in the middle of 30 sessions."""
    rng = np.random.default_rng(seed)
    source = rng.integers(interests, size=users)
    destination = (source + rng.integers(1, interests, size=users)) % interests
    rest = 0.3 * rng.dirichlet(np.ones(interests), users)
    shares = np.repeat(rest[:, None], 30, 1)
    shares[np.arange(users), :15, source] += 0.7
    shares[np.arange(users)[:, None], np.arange(15, 30), destination[:, None]] += 0.7
    return shares, source, destination


def test_migrators_are_detected_with_source_and_destination():
    interests, (shares, source, destination) = make_interests(K), migrating_shares(300, K, 0)
    migration = measure_migration(
        shares_by_half(sample_log(shares, 30, interests, 1), interests), 199, np.random.default_rng(2)
    )
    assert (migration.p_span <= LEVEL).mean() > 0.85
    assert (migration.source == source).mean() > 0.95
    assert (migration.destination == destination).mean() > 0.95
    assert np.median(migration.excess) > 2
    assert migration.tv_under_null.mean() < 0.5 * migration.tv.mean()


def shifting_shares(users, sessions, seed, pull):
    """Shares of users with constant preferences under a catalogue shift: the first interest gains what the last one loses."""
    theta = constant_shares(users, K, seed, concentration=3.0)
    tilt = np.linspace(-pull, pull, sessions)[:, None] * np.linspace(1, -1, K)
    weight = theta * np.exp(tilt)
    return weight / weight.sum(-1, keepdims=True)


def test_a_catalogue_shift_is_not_a_migration():
    """A catalogue shift gives the plain test many false positives; the weighted test keeps its level."""
    interests, users, sessions = make_interests(K), 1000, 24
    log = sample_log(shifting_shares(users, sessions, 5, 1.2), sessions, interests, 6)
    shares = shares_by_half(log, interests)
    ratio = catalogue_shift(shares, calendar_edges(log, 6))
    plain, weighted = (measure_migration(shares, 199, np.random.default_rng(7), r) for r in (None, ratio))
    false_alarms = [(result.p_span <= LEVEL).mean() for result in (plain, weighted)]
    assert false_alarms[0] > 2 * LEVEL
    assert false_alarms[0] > 2 * false_alarms[1]
    # The shift is estimated, and sessions are not identical: the rate is near the level, not at it.
    assert false_alarms[1] < 1.6 * LEVEL
    assert weighted.moved.mean() < plain.moved.mean()


def test_migrators_are_detected_under_a_catalogue_shift():
    interests, (shares, source, destination) = make_interests(K), migrating_shares(200, K, 3)
    unchanged = shifting_shares(800, 30, 1, 0.4)
    log = sample_log(np.concatenate([shares, unchanged]), 30, interests, 2)
    shares = shares_by_half(log, interests)
    migration = measure_migration(shares, 199, np.random.default_rng(4), catalogue_shift(shares, calendar_edges(log, 6)))
    assert (migration.p_span[:200] <= LEVEL).mean() > 0.75
    assert (migration.destination[:200] == destination).mean() > 0.9
    assert (migration.source[:200] == source).mean() > 0.9


def test_a_constant_catalogue_changes_no_result():
    interests = make_interests(K)
    shares = shares_by_half(sample_log(constant_shares(50, K, 1), 10, interests, 2), interests)
    plain = measure_migration(shares, 99, np.random.default_rng(0))
    for level in (1.0, 3.0):  # an equal ratio for all interests is no shift
        other = measure_migration(shares, 99, np.random.default_rng(0), np.full(len(shares.user), level))
        np.testing.assert_allclose(other.p_span, plain.p_span, atol=1e-5)
        np.testing.assert_allclose(other.moved, plain.moved, atol=1e-9)


def test_weights_make_the_test_exact_for_a_known_catalogue_shift():
    """With the true ratio r, Harrison's weights keep the level for two interests whose odds change by r."""
    rng, sessions, users, r = np.random.default_rng(0), 12, 2000, 4.0
    late = np.arange(sessions) >= sessions // 2
    theta = rng.uniform(0.2, 0.8, users)[:, None]
    odds = theta / (1 - theta) * np.where(late, r, 1)
    label = (rng.random((users, sessions)) < odds / (1 + odds)).astype(int)
    shares = shares_by_half(make_log([[[4 * k] for k in row] for row in label]), make_interests(2))
    groups, cells = shares.session_groups
    interest = shares.interest[shares.offsets[shares.log.user[shares.log.session_starts]] + cells.feature]
    weight = (np.log(r) * interest).astype(np.float32)

    def share(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return second[None, ..., 0] - first[None, ..., 0]

    features = UnitFeatures(cells.unit, np.zeros(len(cells.unit), np.int64), interest.astype(np.float32))
    for log_weights, keeps_level in ((weight, True), (None, False)):
        p = np.full(users, np.nan)
        for index, values, weights in permutation_replicates(
            groups, features, share, 199, np.random.default_rng(1), log_weights
        ):
            p[index] = monte_carlo_p_values(values, weights)[0]
        assert ((p <= LEVEL).mean() <= max_rejection_rate(users)) == keeps_level


def test_results_do_not_depend_on_the_order_of_interests():
    interests, shares = make_interests(K), migrating_shares(60, K, 3)[0]
    log = sample_log(shares, 30, interests, 1)
    order = np.array([2, 0, 3, 1])
    reordered = type(interests)(
        [f"interest {k}" for k in range(K)],
        order[interests.item_interest],
        interests.leaves,
        interests.leaf,
        interests.vectors,
        "synthetic",
    )
    first, second = (
        measure_migration(shares_by_half(log, candidate), 99, np.random.default_rng(0)) for candidate in (interests, reordered)
    )
    for name in ("tv", "js", "span", "p_tv", "p_js", "p_span", "moved"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=1e-6)
    np.testing.assert_array_equal(order[first.source], second.source)


def test_the_order_of_users_matters_only_through_the_random_numbers():
    interests, shares = make_interests(K), migrating_shares(60, K, 3)[0]
    log = sample_log(shares, 30, interests, 1)
    backwards = np.argsort(-log.user, kind="stable")
    reordered = log_from_events(59 - log.user[backwards], log.time[backwards], log.item[backwards], items=log.items)
    first, second = (measure_migration(shares_by_half(p, interests), 999, np.random.default_rng(0)) for p in (log, reordered))
    for name in ("tv", "js", "span", "moved", "source"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name)[::-1], atol=1e-6)
    p = (first.p_span + second.p_span[::-1]) / 2
    difference = np.abs(first.p_span - second.p_span[::-1])
    assert (difference <= 5 * np.sqrt(2 * p * (1 - p) / 1000) + 2 / 1000).all()


def test_a_single_interest_cannot_migrate():
    shares = shares_by_half(make_log([[[0], [1], [2], [3]]] * 2), make_interests(1))
    migration = measure_migration(shares, 19, np.random.default_rng(0))
    assert not migration.tv.any()
    assert (migration.p_span == 1).all()
    assert not measure_moves(shares)[0].any()


def test_an_empty_log_has_no_results():
    empty = log_from_events(np.empty(0), np.empty(0), np.empty(0), users=2, items=make_items(8))
    migration = measure_migration(shares_by_half(empty, make_interests(2)), 19, np.random.default_rng(0))
    assert np.isnan(migration.tv).all()
