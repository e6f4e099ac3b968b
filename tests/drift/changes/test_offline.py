"""Several changes: PELT finds the best division, at the level of the scan."""

import sys
from itertools import pairwise

import numpy as np
import pytest

from interestlab.drift.changes import MARGIN, find_offline, pelt_segments, scan_users
from interestlab.errors import DataError

pytest.importorskip("ruptures")


def best(labels: np.ndarray, penalty: float, margin: int) -> float:
    """The least cost of any division, by trying all last changes."""
    hot = (labels[:, None] == np.unique(labels)).astype(float)
    least = {0: -penalty}
    for end in range(margin, len(labels) + 1):
        costs = [c + penalty + division([start, end], hot) for start, c in least.items() if end - start >= margin]
        if costs:
            least[end] = min(costs)
    return least[len(labels)]


def division(ends: list[int], hot: np.ndarray) -> float:
    parts = [hot[a:b] for a, b in pairwise(ends)]
    return float(sum(((part - part.mean(0)) ** 2).sum() for part in parts))


def test_no_division_costs_less() -> None:
    """Of histories of one to three parts, with thresholds as permutations give them."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        shares = rng.dirichlet(np.full(8, 0.3), rng.integers(1, 4))
        labels = np.concatenate([rng.choice(8, rng.integers(10, 30), p=p) for p in shares])
        penalty = rng.uniform(3, 8)
        found = pelt_segments(labels, penalty)
        hot = (labels[:, None] == np.unique(labels)).astype(float)
        cost = division([0, *found, len(labels)], hot) + penalty * len(found)
        assert cost == pytest.approx(best(labels, penalty, MARGIN), abs=1e-6)


def test_two_planted_changes_are_found() -> None:
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.where(rng.random(40) < 0.8, main, rng.integers(0, 10, 40)) for main in (1, 2, 3)])
    held = scan_users(np.array([0, 120]), labels)
    found = find_offline(np.array([0, 120]), labels, held, np.array([0]))
    assert found["session"].to_list() == pytest.approx([40, 80], abs=3)
    assert found["seen"].equals(found["session"], check_names=False)


def test_a_lone_change_stands_where_the_scan_places_it_and_every_user_asked_for_has_one(planted, offsets_of) -> None:
    labels, _ = planted(60, 50, 0.6, seed=1)
    offsets = offsets_of(labels)
    held = scan_users(offsets, labels.ravel())
    asked = np.flatnonzero(held.p <= 0.05)
    found = find_offline(offsets, labels.ravel(), held, asked)
    assert found["user"].unique(maintain_order=True).to_list() == asked.tolist()
    alone = [user for user in asked if len(pelt_segments(labels[user], held.threshold[user])) == 1]
    assert len(alone) > 40
    for user in alone:
        assert found.filter(user=int(user))["session"].to_list() == [held.position[user]]


def test_without_change_few_users_get_any(planted, offsets_of) -> None:
    labels, _ = planted(400, 50, 0.0, seed=2)
    held = scan_users(offsets_of(labels), labels.ravel())
    assert np.mean([bool(pelt_segments(row, threshold)) for row, threshold in zip(labels, held.threshold, strict=True)]) < 0.09


def test_no_users_no_changes_and_short_histories_have_none() -> None:
    held = scan_users(np.array([0, 3]), np.arange(3))
    assert find_offline(np.array([0, 3]), np.arange(3), held, np.array([], int)).is_empty()
    assert pelt_segments(np.arange(2 * MARGIN - 1), 1.0) == []
    with pytest.raises(DataError, match="threshold is not a number"):
        pelt_segments(np.arange(30), held.threshold[0])


def test_a_missing_ruptures_is_told(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(DataError, match=r"interestlab\[drift\]"):
        pelt_segments(np.arange(30), 1.0)
