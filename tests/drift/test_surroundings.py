"""Items and words on both sides of a change-point."""

from collections import Counter

import numpy as np
import polars as pl
import pytest
from session_logs import write_changing_log

from interestlab.drift.session_log import build_session_log
from interestlab.drift.surroundings import (
    EVENTS_PER_SIDE,
    MAX_ITEMS,
    MAX_WORDS,
    describe_surroundings,
    distinctive_words,
    extract_words,
)


def test_stop_words_numbers_and_short_words_are_dropped():
    assert extract_words("The 12 lamps, and 3D-printed LAMPS of x!") == {"lamps", "printed"}
    assert extract_words("数码相机 ok") == {"数码", "码相", "相机"}
    assert extract_words("") == set()


def test_distinctive_words_are_rare_on_the_other_side():
    counts = Counter({f"w{i}": 9 - i for i in range(9)} | {"both": 5})
    assert distinctive_words(counts, Counter({"both": 5, "w0": 20})) == [f"w{i}" for i in range(1, 1 + MAX_WORDS)]
    assert distinctive_words(Counter(), counts) == []


def test_both_sides_of_a_change_are_described_nearest_first(tmp_path):
    store = write_changing_log(tmp_path)
    row = describe_surroundings(store, build_session_log(store), np.array([2])).row(0, named=True)
    assert row["items_before"] == ["lamp2", "Desk lamp"]  # an item without a title is shown by its id
    assert row["items_after"] == ["Racing drone", "Tiny drone"]
    assert "desk" in row["words_before"]
    assert row["words_after"][0] == "drone"
    assert {"battery", "propeller"} <= set(row["words_after"])


def test_events_of_other_users_are_left_out(tmp_path):
    store = write_changing_log(tmp_path)
    row = describe_surroundings(store, build_session_log(store), np.array([4])).row(0, named=True)
    assert row["items_after"] == ["Racing drone"]
    assert len(row["items_before"]) == min(MAX_ITEMS, 4)
    assert EVENTS_PER_SIDE >= 4


def test_no_changes_give_an_empty_table(tmp_path):
    store = write_changing_log(tmp_path)
    table = describe_surroundings(store, build_session_log(store), np.empty(0, np.int64))
    assert table.height == 0
    assert set(table.dtypes) == {pl.List(pl.String)}


@pytest.mark.parametrize("text", [True, False])
def test_items_of_a_log_without_titles_are_shown_by_ids(tmp_path, text):
    store = write_changing_log(tmp_path, titles=False, text=text)
    row = describe_surroundings(store, build_session_log(store), np.array([2])).row(0, named=True)
    assert row["items_before"] == ["lamp2", "lamp1"]
