"""Changes as they come in: a sharp one is seen soon, and shuffled sessions are quiet."""

import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.drift.changes import OnlineDetector, calibrate_delta, find_online
from interestlab.errors import DataError

pytest.importorskip("river")


def test_a_sharp_change_is_seen_once_soon_and_where_it_is() -> None:
    detector = OnlineDetector(0.5)
    seen = [session for session, label in enumerate([3] * 30 + [8] * 30) if detector.update(label)]
    assert len(seen) == 1
    assert 30 < seen[0] < 45
    assert detector.position == 30
    assert detector.sessions == 60


def test_calibrated_on_all_it_sees_planted_changes_and_is_quiet_without(planted, offsets_of) -> None:
    moving, change = planted(100, 80, 0.6, seed=0)
    still, _ = planted(100, 80, 0.0, seed=1)
    both = np.concatenate([moving, still])
    delta = calibrate_delta(offsets_of(both), both.ravel(), seed=2)
    seen = find_online(offsets_of(both), both.ravel(), delta).group_by("user").first()
    truth = seen.join(pl.DataFrame({"user": np.arange(100), "change": change}), on="user")
    assert truth.height > 95
    assert ((truth["seen"] >= truth["change"]) & (truth["seen"] < truth["change"] + 25)).mean() > 0.9
    assert ((truth["session"] - truth["change"]).abs() <= 8).mean() > 0.9
    assert seen.filter(pl.col("user") >= 100).height <= 12


def test_shuffled_histories_alarm_at_the_level_at_most(planted, offsets_of) -> None:
    labels, _ = planted(200, 40, 0.6, seed=3)
    offsets = offsets_of(labels)
    deltas = [calibrate_delta(offsets, labels.ravel(), level, seed=1) for level in (0.02, 0.05, 0.3)]
    assert deltas == sorted(deltas)
    assert deltas[0] < deltas[-1]
    fresh = np.random.default_rng(9).permuted(labels, axis=1)
    assert find_online(offsets, fresh.ravel(), deltas[1])["user"].n_unique() / 200 < 0.12


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.permutations(range(4)))
def test_names_of_interests_change_nothing_and_no_session_ahead_is_read(labels, renamed) -> None:
    offsets = np.array([0, len(labels)])
    here = find_online(offsets, np.array(labels), 3.0)
    assert here.equals(find_online(offsets, np.array(renamed)[labels], 3.0))
    cut = len(labels) // 2
    assert find_online(np.array([0, cut]), np.array(labels), 3.0).equals(here.filter(pl.col("seen") < cut))
    assert (here["session"] <= here["seen"]).all()


def test_what_cannot_be_is_refused(monkeypatch) -> None:
    for delta in (0.0, 5.0):
        with pytest.raises(DataError, match="delta is"):
            OnlineDetector(delta)
    with pytest.raises(DataError, match="no users"):
        calibrate_delta(np.array([0]), np.array([], int))
    monkeypatch.setitem(sys.modules, "river.drift", None)
    with pytest.raises(DataError, match=r"interestlab\[drift\]"):
        OnlineDetector(0.1)
