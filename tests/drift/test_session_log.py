"""Logs of users and sessions."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_logs import DAY, START, log_from_events, make_log, write_log

from interestlab.drift.session_log import build_session_log, number_sessions

histories = st.lists(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), max_size=5), min_size=1, max_size=6)


def test_a_session_ends_with_its_user_and_after_a_pause():
    user, time = np.array([0, 0, 0, 0, 1]), np.array([0, 1800, 3601, 3602, 3603])
    assert number_sessions(user, time, 1800).tolist() == [0, 0, 1, 1, 2]
    assert number_sessions(user, time, 0).tolist() == [0, 1, 2, 3, 4]
    assert number_sessions(user[:0], time[:0], 1800).tolist() == []


@given(histories)
def test_offsets_are_the_starts_of_users_and_sessions(sessions_by_user):
    log = make_log(sessions_by_user)
    assert np.diff(log.session_offsets).tolist() == [len(h) for h in sessions_by_user]
    assert np.diff(log.offsets).tolist() == [sum(map(len, h)) for h in sessions_by_user]
    assert log.user.tolist() == [u for u, h in enumerate(sessions_by_user) for v in h for _ in v]
    assert np.diff(np.r_[log.session_starts, len(log.time)]).tolist() == [len(v) for h in sessions_by_user for v in h]


@given(histories, st.randoms(use_true_random=False))
def test_keep_events_keeps_all_users_and_renumbers_the_sessions(sessions_by_user, random):
    log = make_log(sessions_by_user)
    mask = np.array([random.random() < 0.5 for _ in log.time], bool)
    subset = log.keep_events(mask)
    assert subset.users.to_list() == log.users.to_list()
    for name in ("event_index", "time", "item", "user", "in_training"):
        np.testing.assert_array_equal(getattr(subset, name), getattr(log, name)[mask])
    sessions = log.session[mask]
    np.testing.assert_array_equal(np.diff(subset.session) != 0, np.diff(sessions) != 0)
    assert subset.session.tolist() == np.unique(sessions, return_inverse=True)[1].tolist()


@given(histories, st.data())
def test_slice_users_gives_the_log_of_these_users(sessions_by_user, data):
    first = data.draw(st.integers(0, len(sessions_by_user)))
    last = data.draw(st.integers(first, len(sessions_by_user)))
    sliced, expected = make_log(sessions_by_user).slice_users(first, last), make_log(sessions_by_user[first:last])
    assert sliced.users.to_list() == [f"u{u}" for u in range(first, last)]
    for name in ("time", "item", "session", "user", "offsets", "session_starts", "session_offsets"):
        np.testing.assert_array_equal(getattr(sliced, name), getattr(expected, name))


@pytest.fixture
def events():
    return pl.DataFrame(
        {
            "user_id": ["b", "a", "a", "a", "b", "a"],
            "item_id": ["x", "y", "x", "x", "z", "z"],
            "timestamp": [5, 100, 160, 5000, 9, 9000],
            "event": ["view", "cart", "purchase", "wish", None, "review"],
        }
    )


def test_a_session_log_is_built_from_an_event_store(tmp_path, events):
    log = build_session_log(write_log(tmp_path, events))
    by_id = dict(zip(log.users, zip(log.offsets, log.offsets[1:], strict=False), strict=True))
    rows = slice(*by_id["a"])
    assert log.time[rows].tolist() == [100, 160, 5000, 9000]
    assert np.diff(log.session[rows]).tolist() == [0, 1, 1]
    np.testing.assert_array_equal(log.depth[rows], np.float32([0.5, 1, np.nan, 1]))  # an unknown event type has no depth
    assert log.in_training[rows].tolist() == [True, True, False, False]  # leave-one-out keeps the last two out of training
    assert log.items["item_id"].gather(log.item[rows].tolist()).to_list() == ["y", "x", "x", "z"]


def test_a_log_without_types_has_no_depth(tmp_path, events):
    assert np.isnan(build_session_log(write_log(tmp_path, events.drop("event"))).depth).all()


def test_daily_times_give_one_session_per_day():
    time = START + np.array([0, 0, 0, 1, 1]) * DAY
    assert log_from_events(np.zeros(5), time, np.arange(5)).session.tolist() == [0, 0, 0, 1, 1]
