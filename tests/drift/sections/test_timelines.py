"""Timelines of example users."""

import numpy as np
import polars as pl
from session_logs import DAY, START, changing_log, context_of

from interestlab.drift.context import SessionLabels
from interestlab.drift.interests import Interests
from interestlab.drift.sections.timelines import list_sessions
from interestlab.drift.session_log import build_session_log


def sessions(store, log, interest, names, users, changes):
    of = np.zeros(store.items.height, np.int64)
    interests = Interests(names, of, names, of, np.ones((len(of), 2), np.float32), "made up")
    labels = SessionLabels(log.session_offsets, interest, log.session_starts)
    return list_sessions(context_of(log, interests, store, session_labels=labels, tables={"changes": changes}), users)


def test_sessions_of_the_chosen_users_are_told_with_their_changes(tmp_path):
    told = changing_log(tmp_path)
    held = build_session_log(told)
    user = held.users.to_list().index("a")
    interest = np.zeros(len(held.session_starts), np.int64)
    interest[held.session_offsets[user] + 2 :] = 1
    marks = pl.DataFrame({"user_id": ["a", "a", "b"], "session": [2, 2, 0], "method": ["offline", "online", "online"]})
    table = sessions(told, held, interest, ["lamps", "drones"], np.array([user]), marks)
    assert table["session"].to_list() == [0, 1, 2, 3, 4]
    assert table["change"].to_list() == [False, False, True, False, False]
    assert table["interest"].to_list()[:3] == ["lamps", "lamps", "drones"]
    assert table["title"].to_list()[:3] == ["Desk lamp", "lamp2", "Racing drone"]
    assert table["at"].dt.epoch("s").to_list() == [START + d * DAY for d in range(5)]
    assert set(table["event"]) == {"view"}


def test_nobody_chosen_has_no_sessions(tmp_path):
    told = changing_log(tmp_path)
    held = build_session_log(told)
    marks = pl.DataFrame(schema={"user_id": pl.String, "session": pl.Int64})
    table = sessions(told, held, np.zeros(len(held.session_starts), np.int64), ["x"], np.empty(0, np.int64), marks)
    assert table.height == 0
    assert table.columns == ["user_id", "session", "at", "interest", "title", "event", "change"]
