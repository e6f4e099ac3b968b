"""One change: against a plain computation, without a change, and with a planted one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.drift.changes import MARGIN, MINIMUM, scan_users
from interestlab.drift.changes.scan import gain, likelihood, occurrences, permuted_statistics
from interestlab.errors import DataError


def plain_gain(row: np.ndarray, margin: int) -> list[float]:
    def spread(part: np.ndarray) -> float:
        one_hot = (part[:, None] == np.unique(row)).astype(float)
        return float(((one_hot - one_hot.mean(0)) ** 2).sum())

    return [spread(row) - spread(row[:t]) - spread(row[t:]) for t in range(margin, len(row) - margin + 1)]


def plain_likelihood(row: np.ndarray, margin: int) -> list[float]:
    def log(part: np.ndarray) -> float:
        count = np.unique(part, return_counts=True)[1]
        return float((count * np.log(count / len(part))).sum())

    return [log(row[:t]) + log(row[t:]) - log(row) for t in range(margin, len(row) - margin + 1)]


rows = st.lists(st.integers(0, 6), min_size=12, max_size=40).map(np.array)


@given(rows, st.integers(1, 6))
def test_gain_and_likelihood_equal_a_plain_computation(row, margin) -> None:
    parts = occurrences(row[None])
    assert gain(*parts, margin)[0] == pytest.approx(plain_gain(row, margin), abs=1e-8)
    log_likelihood, expected = likelihood(*parts, margin)[0], np.array(plain_likelihood(row, margin))
    assert log_likelihood - log_likelihood[0] == pytest.approx(expected - expected[0], abs=1e-6)


@given(rows, st.integers(0, 100))
def test_permuted_statistics_are_those_of_shuffled_sessions(row, seed) -> None:
    n = len(row)
    counts = np.sort(occurrences(row[None])[2], 1)
    shuffles = np.random.default_rng(seed).permuted(np.tile(np.arange(n, dtype=np.int32), (5, 1)), axis=1)
    order = np.random.default_rng([seed, *counts[0].tolist()]).permutation(n)
    names = np.repeat(*zip(*[(i, c) for i, c in enumerate(np.sort(np.unique(row, return_counts=True)[1]))], strict=True))
    expected = []
    for positions in shuffles[:, order]:
        shuffled = np.empty(n, int)
        shuffled[positions] = names
        expected.append(max(plain_gain(shuffled, 3)))
    assert permuted_statistics(counts, shuffles, seed, 3)[0] == pytest.approx(expected, abs=1e-8)


histories = st.lists(st.lists(st.integers(0, 4), min_size=MINIMUM - 2, max_size=MINIMUM + 3), min_size=1, max_size=5)


@settings(deadline=None)
@given(histories, st.permutations(range(5)), st.integers(0, 3))
def test_results_do_not_depend_on_names_of_interests_or_other_users(offsets_of, users, renamed, seed) -> None:
    offsets, labels = offsets_of(users), np.concatenate(users)
    scan = scan_users(offsets, labels, seed=seed)
    renamed_scan = scan_users(offsets, np.array(renamed)[labels] * 7, seed=seed)
    first_user = scan_users(offsets[:2], labels[: offsets[1]], seed=seed)
    for name in ("position", "statistic", "p", "threshold"):
        np.testing.assert_array_equal(getattr(scan, name), getattr(renamed_scan, name))
        np.testing.assert_array_equal(getattr(scan, name)[:1], getattr(first_user, name))


@settings(deadline=None)
@given(histories)
def test_the_statistic_exceeds_the_threshold_exactly_if_p_is_at_most_the_level(offsets_of, users) -> None:
    scan = scan_users(offsets_of(users), np.concatenate(users), permutations=99, level=0.1)
    is_tested = ~np.isnan(scan.p)
    assert ((scan.statistic > scan.threshold + 1e-9) == (scan.p <= 0.1))[is_tested].all()
    assert (is_tested == [len(user) >= MINIMUM for user in users]).all()
    assert ((scan.position >= MARGIN) == is_tested).all()


def test_p_values_are_uniform_without_change(planted, offsets_of) -> None:
    labels, _ = planted(2000, 40, 0.0, seed=3)
    p = scan_users(offsets_of(labels), labels.ravel()).p
    for level in (0.05, 0.2, 0.5, 0.8):
        assert np.mean(p <= level) == pytest.approx(level, abs=0.035)


def test_a_planted_change_is_found_at_its_position(planted, offsets_of) -> None:
    labels, change = planted(150, 100, 0.6, seed=4)
    scan = scan_users(offsets_of(labels), labels.ravel())
    is_found = (scan.p <= 0.05) & (np.abs(scan.position - change) <= 10)
    assert is_found.mean() > 0.95


def test_a_planted_partial_change_is_found(planted, offsets_of) -> None:
    labels, change = planted(150, 100, 0.36, seed=5)
    scan = scan_users(offsets_of(labels), labels.ravel())
    assert np.mean((scan.p <= 0.05) & (np.abs(scan.position - change) <= 10)) > 0.8


def test_a_single_interest_never_changes() -> None:
    scan = scan_users(np.array([0, 30]), np.full(30, 4))
    assert scan.statistic[0] == pytest.approx(0)
    assert scan.p[0] == 1


def test_a_short_history_is_not_tested() -> None:
    scan = scan_users(np.array([0, MINIMUM - 1, MINIMUM - 1]), np.arange(MINIMUM - 1))
    assert (scan.position == -1).all()
    assert np.isnan([scan.statistic, scan.p, scan.threshold]).all()


def test_a_level_below_the_smallest_p_value_is_refused() -> None:
    with pytest.raises(DataError, match="take at least 99"):
        scan_users(np.array([0, 30]), np.zeros(30, int), permutations=50, level=0.01)
    with pytest.raises(DataError, match="margin is 11"):
        scan_users(np.array([0, 30]), np.zeros(30, int), margin=11)
