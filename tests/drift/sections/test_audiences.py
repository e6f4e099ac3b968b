"""The table of audiences."""

import numpy as np
import polars as pl
from session_logs import make_context, make_interests, make_items, make_log, make_users_table, sample_log

from interestlab.drift.sections.audiences import RECENT, list_audience
from interestlab.drift.verdicts import BOTH, EVOLVED, INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE

VERDICTS = [MIGRATED, NO_CHANGE, INSUFFICIENT_EVIDENCE, EVOLVED, BOTH]


def make_audience(log, interests, verdicts):
    return list_audience(make_context(log, interests, tables={"users": make_users_table(log, verdicts)}))


def test_an_audience_contains_all_users_with_a_change():
    interests = make_interests(2)
    items = make_items(8, brand=["x", "y", None, None, "y", "y", None, None])
    history = [[0]] * 30 + [[4]] * (RECENT - 5) + [[1]] * 5  # only the last events count
    log = make_log([history, [[0]], [[1]], [[2]], [[0], [0], [4]]], items=items)
    table = make_audience(log, interests, VERDICTS).sort("user_id")
    assert table["user_id"].to_list() == ["u0", "u3", "u4"]
    assert table["interest_now"].to_list() == ["interest 1", "interest 0", "interest 0"]
    assert table["brand"].to_list() == ["y", None, "x"]
    assert table["verdict"].to_list() == [MIGRATED, EVOLVED, BOTH]
    assert table["source"].to_list() == ["a", None, "a"]  # for users who only evolved, the largest rise is noise
    assert table["destination"].to_list() == ["b", None, "b"]
    assert table["evolved_in"].to_list() == [None, "c", "c"]
    assert table["q_evolution"].to_list() == [0.02] * 3


def test_an_empty_audience_has_its_columns():
    interests = make_interests(2)
    log = sample_log(np.ones((3, 1, 2)) / 2, 4, interests, 0)
    table = make_audience(log, interests, [NO_CHANGE])
    assert table.height == 0
    assert table.columns[:3] == ["user_id", "segment", "verdict"]
    assert table.schema["brand"] == pl.String
