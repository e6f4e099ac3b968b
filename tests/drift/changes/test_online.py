"""Online detection: a sharp change is detected soon, and shuffled sessions raise few alarms."""

import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.drift.changes import OnlineDetector, calibrate_delta, find_online
from interestlab.errors import DataError

pytest.importorskip("river")


def test_a_sharp_change_is_detected_once_soon_and_at_its_position() -> None:
    detector = OnlineDetector(0.5)
    alarms = [session for session, label in enumerate([3] * 30 + [8] * 30) if detector.update(label)]
    assert len(alarms) == 1
    assert 30 < alarms[0] < 45
    assert detector.position == 30
    assert detector.sessions == 60


def test_a_calibrated_detector_finds_planted_changes_and_raises_few_false_alarms(planted, offsets_of) -> None:
    changed, change = planted(100, 80, 0.6, seed=0)
    unchanged, _ = planted(100, 80, 0.0, seed=1)
    labels = np.concatenate([changed, unchanged])
    delta = calibrate_delta(offsets_of(labels), labels.ravel(), seed=2)
    alarms = find_online(offsets_of(labels), labels.ravel(), delta).group_by("user").first()
    planted_alarms = alarms.join(pl.DataFrame({"user": np.arange(100), "change": change}), on="user")
    assert planted_alarms.height > 95
    assert (
        (planted_alarms["seen"] >= planted_alarms["change"]) & (planted_alarms["seen"] < planted_alarms["change"] + 25)
    ).mean() > 0.9
    assert ((planted_alarms["session"] - planted_alarms["change"]).abs() <= 8).mean() > 0.9
    assert alarms.filter(pl.col("user") >= 100).height <= 12


def test_shuffled_histories_raise_alarms_at_most_at_the_level(planted, offsets_of) -> None:
    labels, _ = planted(200, 40, 0.6, seed=3)
    offsets = offsets_of(labels)
    deltas = [calibrate_delta(offsets, labels.ravel(), level, seed=1) for level in (0.02, 0.05, 0.3)]
    assert deltas == sorted(deltas)
    assert deltas[0] < deltas[-1]
    shuffled = np.random.default_rng(9).permuted(labels, axis=1)
    assert find_online(offsets, shuffled.ravel(), deltas[1])["user"].n_unique() / 200 < 0.12


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.permutations(range(4)))
def test_alarms_do_not_depend_on_names_of_interests_or_later_sessions(labels, renamed) -> None:
    offsets = np.array([0, len(labels)])
    alarms = find_online(offsets, np.array(labels), 3.0)
    assert alarms.equals(find_online(offsets, np.array(renamed)[labels], 3.0))
    cut = len(labels) // 2
    assert find_online(np.array([0, cut]), np.array(labels), 3.0).equals(alarms.filter(pl.col("seen") < cut))
    assert (alarms["session"] <= alarms["seen"]).all()


def test_invalid_arguments_are_refused(monkeypatch) -> None:
    for delta in (0.0, 5.0):
        with pytest.raises(DataError, match="delta is"):
            OnlineDetector(delta)
    with pytest.raises(DataError, match="no users"):
        calibrate_delta(np.array([0]), np.array([], int))
    monkeypatch.setitem(sys.modules, "river.drift", None)
    with pytest.raises(DataError, match=r"interestlab\[drift\]"):
        OnlineDetector(0.1)
