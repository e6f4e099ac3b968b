"""Timelines of example users."""

import numpy as np
import polars as pl
from session_logs import DAY, START, make_context, write_changing_log

from interestlab.drift.context import SessionLabels
from interestlab.drift.interests import Interests
from interestlab.drift.sections.timelines import list_sessions
from interestlab.drift.session_log import build_session_log


def make_timelines(store, log, interest, names, users, changes):
    zeros = np.zeros(store.items.height, np.int64)
    interests = Interests(names, zeros, names, zeros, np.ones((len(zeros), 2), np.float32), "synthetic")
    labels = SessionLabels(log.session_offsets, interest, log.session_starts)
    return list_sessions(make_context(log, interests, store, session_labels=labels, tables={"changes": changes}), users)


def test_sessions_of_the_chosen_users_are_listed_with_their_changes(tmp_path):
    store = write_changing_log(tmp_path)
    log = build_session_log(store)
    user = log.users.to_list().index("a")
    interest = np.zeros(len(log.session_starts), np.int64)
    interest[log.session_offsets[user] + 2 :] = 1
    changes = pl.DataFrame({"user_id": ["a", "a", "b"], "session": [2, 2, 0], "method": ["offline", "online", "online"]})
    table = make_timelines(store, log, interest, ["lamps", "drones"], np.array([user]), changes)
    assert table["session"].to_list() == [0, 1, 2, 3, 4]
    assert table["change"].to_list() == [False, False, True, False, False]
    assert table["interest"].to_list()[:3] == ["lamps", "lamps", "drones"]
    assert table["title"].to_list()[:3] == ["Desk lamp", "lamp2", "Racing drone"]
    assert table["at"].dt.epoch("s").to_list() == [START + d * DAY for d in range(5)]
    assert set(table["event"]) == {"view"}


def test_without_chosen_users_the_table_is_empty(tmp_path):
    store = write_changing_log(tmp_path)
    log = build_session_log(store)
    changes = pl.DataFrame(schema={"user_id": pl.String, "session": pl.Int64})
    table = make_timelines(store, log, np.zeros(len(log.session_starts), np.int64), ["x"], np.empty(0, np.int64), changes)
    assert table.height == 0
    assert table.columns == ["user_id", "session", "at", "interest", "title", "event", "change"]
