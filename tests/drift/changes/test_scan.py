"""One change: against a plain computation, under chance, and planted."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.drift.changes import MARGIN, MINIMUM, scan_users
from interestlab.drift.changes.scan import gain, likelihood, occurrences, permuted_statistics
from interestlab.errors import DataError


def plain_gain(row: np.ndarray, margin: int) -> list[float]:
    def spread(part: np.ndarray) -> float:
        hot = (part[:, None] == np.unique(row)).astype(float)
        return float(((hot - hot.mean(0)) ** 2).sum())

    return [spread(row) - spread(row[:t]) - spread(row[t:]) for t in range(margin, len(row) - margin + 1)]


def plain_likelihood(row: np.ndarray, margin: int) -> list[float]:
    def log(part: np.ndarray) -> float:
        count = np.unique(part, return_counts=True)[1]
        return float((count * np.log(count / len(part))).sum())

    return [log(row[:t]) + log(row[t:]) - log(row) for t in range(margin, len(row) - margin + 1)]


rows = st.lists(st.integers(0, 6), min_size=12, max_size=40).map(np.array)


@given(rows, st.integers(1, 6))
def test_the_sums_over_occurrences_are_the_fall_of_the_squares_and_the_rise_of_the_likelihood(row, margin) -> None:
    parts = occurrences(row[None])
    assert gain(*parts, margin)[0] == pytest.approx(plain_gain(row, margin), abs=1e-8)
    likely, plain = likelihood(*parts, margin)[0], np.array(plain_likelihood(row, margin))
    assert likely - likely[0] == pytest.approx(plain - plain[0], abs=1e-6)


@given(rows, st.integers(0, 100))
def test_chance_is_the_statistic_of_shuffled_sessions(row, seed) -> None:
    n = len(row)
    counts = np.sort(occurrences(row[None])[2], 1)
    shuffles = np.random.default_rng(seed).permuted(np.tile(np.arange(n, dtype=np.int32), (5, 1)), axis=1)
    own = np.random.default_rng([seed, *counts[0].tolist()]).permutation(n)
    names = np.repeat(*zip(*[(i, c) for i, c in enumerate(np.sort(np.unique(row, return_counts=True)[1]))], strict=True))
    expected = []
    for places in shuffles[:, own]:
        shuffled = np.empty(n, int)
        shuffled[places] = names
        expected.append(max(plain_gain(shuffled, 3)))
    assert permuted_statistics(counts, shuffles, seed, 3)[0] == pytest.approx(expected, abs=1e-8)


histories = st.lists(st.lists(st.integers(0, 4), min_size=MINIMUM - 2, max_size=MINIMUM + 3), min_size=1, max_size=5)


@settings(deadline=None)
@given(histories, st.permutations(range(5)), st.integers(0, 3))
def test_names_of_interests_and_other_users_change_nothing(offsets_of, users, renamed, seed) -> None:
    offsets, labels = offsets_of(users), np.concatenate(users)
    here = scan_users(offsets, labels, seed=seed)
    there = scan_users(offsets, np.array(renamed)[labels] * 7, seed=seed)
    alone = scan_users(offsets[:2], labels[: offsets[1]], seed=seed)
    for name in ("position", "statistic", "p", "threshold"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
        np.testing.assert_array_equal(getattr(here, name)[:1], getattr(alone, name))


@settings(deadline=None)
@given(histories)
def test_the_threshold_is_passed_exactly_where_p_is_at_most_the_level(offsets_of, users) -> None:
    held = scan_users(offsets_of(users), np.concatenate(users), permutations=99, level=0.1)
    told = ~np.isnan(held.p)
    assert ((held.statistic > held.threshold + 1e-9) == (held.p <= 0.1))[told].all()
    assert (told == [len(user) >= MINIMUM for user in users]).all()
    assert ((held.position >= MARGIN) == told).all()


def test_p_values_are_uniform_without_change(planted, offsets_of) -> None:
    labels, _ = planted(2000, 40, 0.0, seed=3)
    p = scan_users(offsets_of(labels), labels.ravel()).p
    for level in (0.05, 0.2, 0.5, 0.8):
        assert np.mean(p <= level) == pytest.approx(level, abs=0.035)


def test_a_planted_change_is_found_where_it_is(planted, offsets_of) -> None:
    labels, change = planted(150, 100, 0.6, seed=4)
    held = scan_users(offsets_of(labels), labels.ravel())
    found = (held.p <= 0.05) & (np.abs(held.position - change) <= 10)
    assert found.mean() > 0.95


def test_a_partial_move_is_found_too(planted, offsets_of) -> None:
    labels, change = planted(150, 100, 0.36, seed=5)
    held = scan_users(offsets_of(labels), labels.ravel())
    assert np.mean((held.p <= 0.05) & (np.abs(held.position - change) <= 10)) > 0.8


def test_a_single_interest_never_changes() -> None:
    held = scan_users(np.array([0, 30]), np.full(30, 4))
    assert held.statistic[0] == pytest.approx(0)
    assert held.p[0] == 1


def test_a_short_history_is_not_judged() -> None:
    held = scan_users(np.array([0, MINIMUM - 1, MINIMUM - 1]), np.arange(MINIMUM - 1))
    assert (held.position == -1).all()
    assert np.isnan([held.statistic, held.p, held.threshold]).all()


def test_a_level_below_the_smallest_p_value_is_refused() -> None:
    with pytest.raises(DataError, match="take at least 99"):
        scan_users(np.array([0, 30]), np.zeros(30, int), permutations=50, level=0.01)
    with pytest.raises(DataError, match="margin is 11"):
        scan_users(np.array([0, 30]), np.zeros(30, int), margin=11)
