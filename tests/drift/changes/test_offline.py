"""Several changes: PELT finds the best division with the threshold of the scan."""

import sys
from itertools import pairwise

import numpy as np
import pytest

from interestlab.drift.changes import MARGIN, find_offline, pelt_segments, scan_users
from interestlab.errors import DataError

pytest.importorskip("ruptures")


def least_cost(labels: np.ndarray, penalty: float, margin: int) -> float:
    """The least cost of any division, by trying all last changes."""
    one_hot = (labels[:, None] == np.unique(labels)).astype(float)
    costs_by_end = {0: -penalty}
    for end in range(margin, len(labels) + 1):
        costs = [
            c + penalty + division_cost([start, end], one_hot) for start, c in costs_by_end.items() if end - start >= margin
        ]
        if costs:
            costs_by_end[end] = min(costs)
    return costs_by_end[len(labels)]


def division_cost(ends: list[int], one_hot: np.ndarray) -> float:
    parts = [one_hot[a:b] for a, b in pairwise(ends)]
    return float(sum(((part - part.mean(0)) ** 2).sum() for part in parts))


def test_no_division_costs_less() -> None:
    """For histories of one to three parts, with thresholds in the range of the permutation threshold."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        shares = rng.dirichlet(np.full(8, 0.3), rng.integers(1, 4))
        labels = np.concatenate([rng.choice(8, rng.integers(10, 30), p=p) for p in shares])
        penalty = rng.uniform(3, 8)
        changes = pelt_segments(labels, penalty)
        one_hot = (labels[:, None] == np.unique(labels)).astype(float)
        cost = division_cost([0, *changes, len(labels)], one_hot) + penalty * len(changes)
        assert cost == pytest.approx(least_cost(labels, penalty, MARGIN), abs=1e-6)


def test_two_planted_changes_are_found() -> None:
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.where(rng.random(40) < 0.8, main, rng.integers(0, 10, 40)) for main in (1, 2, 3)])
    scan = scan_users(np.array([0, 120]), labels)
    changes = find_offline(np.array([0, 120]), labels, scan, np.array([0]))
    assert changes["session"].to_list() == pytest.approx([40, 80], abs=3)
    assert changes["seen"].equals(changes["session"], check_names=False)


def test_a_single_change_is_at_the_position_of_the_scan_and_every_requested_user_has_one(planted, offsets_of) -> None:
    labels, _ = planted(60, 50, 0.6, seed=1)
    offsets = offsets_of(labels)
    scan = scan_users(offsets, labels.ravel())
    requested = np.flatnonzero(scan.p <= 0.05)
    changes = find_offline(offsets, labels.ravel(), scan, requested)
    assert changes["user"].unique(maintain_order=True).to_list() == requested.tolist()
    single = [user for user in requested if len(pelt_segments(labels[user], scan.threshold[user])) == 1]
    assert len(single) > 40
    for user in single:
        assert changes.filter(user=int(user))["session"].to_list() == [scan.position[user]]


def test_without_change_few_users_have_changes(planted, offsets_of) -> None:
    labels, _ = planted(400, 50, 0.0, seed=2)
    scan = scan_users(offsets_of(labels), labels.ravel())
    assert np.mean([bool(pelt_segments(row, threshold)) for row, threshold in zip(labels, scan.threshold, strict=True)]) < 0.09


def test_no_users_and_short_histories_have_no_changes() -> None:
    scan = scan_users(np.array([0, 3]), np.arange(3))
    assert find_offline(np.array([0, 3]), np.arange(3), scan, np.array([], int)).is_empty()
    assert pelt_segments(np.arange(2 * MARGIN - 1), 1.0) == []
    with pytest.raises(DataError, match="threshold is not a number"):
        pelt_segments(np.arange(30), scan.threshold[0])


def test_a_missing_ruptures_is_reported(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(DataError, match=r"interestlab\[drift\]"):
        pelt_segments(np.arange(30), 1.0)
