"""A log as a log of users and sessions."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_logs import DAY, START, flat, log_of, made

from interestlab.drift.session_log import build_session_log, number_sessions

histories = st.lists(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), max_size=5), min_size=1, max_size=6)


def test_a_session_ends_with_its_user_and_after_a_pause():
    user, time = np.array([0, 0, 0, 0, 1]), np.array([0, 1800, 3601, 3602, 3603])
    assert number_sessions(user, time, 1800).tolist() == [0, 0, 1, 1, 2]
    assert number_sessions(user, time, 0).tolist() == [0, 1, 2, 3, 4]
    assert number_sessions(user[:0], time[:0], 1800).tolist() == []


@given(histories)
def test_offsets_say_where_users_and_sessions_begin(told):
    held = made(told)
    assert np.diff(held.session_offsets).tolist() == [len(h) for h in told]
    assert np.diff(held.offsets).tolist() == [sum(map(len, h)) for h in told]
    assert held.user.tolist() == [u for u, h in enumerate(told) for v in h for _ in v]
    assert np.diff(np.r_[held.session_starts, len(held.time)]).tolist() == [len(v) for h in told for v in h]


@given(histories, st.randoms(use_true_random=False))
def test_a_log_of_some_events_keeps_the_users_and_numbers_its_sessions_anew(told, chance):
    held = made(told)
    kept = np.array([chance.random() < 0.5 for _ in held.time], bool)
    some = held.keep_events(kept)
    assert some.users.to_list() == held.users.to_list()
    for name in ("event_index", "time", "item", "user", "in_training"):
        np.testing.assert_array_equal(getattr(some, name), getattr(held, name)[kept])
    together = held.session[kept]
    np.testing.assert_array_equal(np.diff(some.session) != 0, np.diff(together) != 0)
    assert some.session.tolist() == np.unique(together, return_inverse=True)[1].tolist()


@given(histories, st.data())
def test_a_part_is_the_log_of_its_users(told, data):
    first = data.draw(st.integers(0, len(told)))
    last = data.draw(st.integers(first, len(told)))
    part, alone = made(told).slice_users(first, last), made(told[first:last])
    assert part.users.to_list() == [f"u{u}" for u in range(first, last)]
    for name in ("time", "item", "session", "user", "offsets", "session_starts", "session_offsets"):
        np.testing.assert_array_equal(getattr(part, name), getattr(alone, name))


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


def test_a_log_becomes_a_session_log(tmp_path, events):
    held = build_session_log(log_of(tmp_path, events))
    by_id = dict(zip(held.users, zip(held.offsets, held.offsets[1:], strict=False), strict=True))
    a = slice(*by_id["a"])
    assert held.time[a].tolist() == [100, 160, 5000, 9000]
    assert np.diff(held.session[a]).tolist() == [0, 1, 1]
    np.testing.assert_array_equal(held.depth[a], np.float32([0.5, 1, np.nan, 1]))  # of a type not known nothing is said
    assert held.in_training[a].tolist() == [True, True, False, False]  # leave one out holds back the last two
    assert held.items["item_id"].gather(held.item[a].tolist()).to_list() == ["y", "x", "x", "z"]


def test_a_log_without_types_has_no_depth(tmp_path, events):
    assert np.isnan(build_session_log(log_of(tmp_path, events.drop("event"))).depth).all()


def test_days_as_times_make_a_session_a_day():
    time = START + np.array([0, 0, 0, 1, 1]) * DAY
    assert flat(np.zeros(5), time, np.arange(5)).session.tolist() == [0, 0, 0, 1, 1]
