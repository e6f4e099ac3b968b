"""What happened around the changes of users."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from session_logs import DAY, START, log_of

from interestlab.drift.session_log import build_session_log
from interestlab.drift.timelines import ITEMS, NEAR, WORDS, around, sessions, telling, words


def log(folder, titles=True, text=True):
    """Two users: the first changes from lamps to drones in the third of five sessions."""
    told = [("a", "lamp1", 0), ("a", "lamp2", 1), ("a", "drone1", 2), ("a", "drone2", 3), ("a", "drone1", 4), ("b", "lamp1", 5)]
    events = pl.DataFrame(told, schema=["user_id", "item_id", "day"], orient="row").with_columns(
        timestamp=START + pl.col("day") * DAY, event=pl.lit("view")
    )
    if text:
        events = events.with_columns(text=pl.when(pl.col("day") == 3).then(pl.lit("battery of 2024 and the propeller")))
    items = pl.DataFrame(
        {"item_id": ["lamp1", "lamp2", "drone1", "drone2"], "title": ["Desk lamp", None, "Racing drone", "Tiny drone"]}
    )
    return log_of(folder, events, items if titles else None)


def test_words_leave_out_what_tells_nothing():
    assert words("The 12 lamps, and 3D-printed LAMPS of x!") == {"lamps", "printed"}
    assert words("数码相机 ok") == {"数码", "码相", "相机"}
    assert words("") == set()


def test_the_words_that_tell_are_those_that_the_other_side_lacks():
    here = Counter({f"w{i}": 9 - i for i in range(9)} | {"both": 5})
    assert telling(here, Counter({"both": 5, "w0": 20})) == [f"w{i}" for i in range(1, 1 + WORDS)]
    assert telling(Counter(), here) == []


def test_both_sides_of_a_change_are_told_nearest_first(tmp_path):
    told = log(tmp_path)
    row = around(told, build_session_log(told), np.array([2])).row(0, named=True)
    assert row["items_before"] == ["lamp2", "Desk lamp"]  # an item without a title is told by its id
    assert row["items_after"] == ["Racing drone", "Tiny drone"]
    assert "desk" in row["words_before"]
    assert row["words_after"][0] == "drone"
    assert {"battery", "propeller"} <= set(row["words_after"])


def test_another_users_events_are_on_no_side(tmp_path):
    told = log(tmp_path)
    row = around(told, build_session_log(told), np.array([4])).row(0, named=True)
    assert row["items_after"] == ["Racing drone"]
    assert len(row["items_before"]) == min(ITEMS, 4)
    assert NEAR >= 4


def test_no_change_has_no_row(tmp_path):
    told = log(tmp_path)
    table = around(told, build_session_log(told), np.empty(0, np.int64))
    assert table.height == 0
    assert set(table.dtypes) == {pl.List(pl.String)}


@pytest.mark.parametrize("text", [True, False])
def test_a_log_without_titles_is_told_by_ids(tmp_path, text):
    told = log(tmp_path, titles=False, text=text)
    row = around(told, build_session_log(told), np.array([2])).row(0, named=True)
    assert row["items_before"] == ["lamp2", "lamp1"]


def test_sessions_of_the_chosen_users_are_told_with_their_changes(tmp_path):
    told = log(tmp_path)
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
    told = log(tmp_path)
    held = build_session_log(told)
    marks = pl.DataFrame(schema={"user_id": pl.String, "session": pl.Int64})
    table = sessions(told, held, np.zeros(len(held.session_starts), np.int64), ["x"], np.empty(0, np.int64), marks)
    assert table.height == 0
    assert table.columns == ["user_id", "session", "at", "interest", "title", "event", "change"]
