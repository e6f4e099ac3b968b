"""The table of audiences."""

import numpy as np
import polars as pl
from session_logs import context_of, drawn, items_of, made, shop, table_of_users

from interestlab.drift.sections.audiences import RECENT, list_audience
from interestlab.drift.verdicts import BOTH, EVOLVED, INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE

VERDICTS = [MIGRATED, NO_CHANGE, INSUFFICIENT_EVIDENCE, EVOLVED, BOTH]


def audience(log, interests, verdicts):
    return list_audience(context_of(log, interests, tables={"users": table_of_users(log, verdicts)}))


def test_an_audience_is_everyone_of_whom_a_change_is_told():
    shopped = shop(2)
    items = items_of(8, brand=["x", "y", None, None, "y", "y", None, None])
    late = [[0]] * 30 + [[4]] * (RECENT - 5) + [[1]] * 5  # what counts is the last events
    log = made([late, [[0]], [[1]], [[2]], [[0], [0], [4]]], items=items)
    told = audience(log, shopped, VERDICTS).sort("user_id")
    assert told["user_id"].to_list() == ["u0", "u3", "u4"]
    assert told["interest_now"].to_list() == ["interest 1", "interest 0", "interest 0"]
    assert told["brand"].to_list() == ["y", None, "x"]
    assert told["verdict"].to_list() == [MIGRATED, EVOLVED, BOTH]
    assert told["source"].to_list() == ["a", None, "a"]  # of who evolved only, the largest rise is noise
    assert told["destination"].to_list() == ["b", None, "b"]
    assert told["evolved_in"].to_list() == [None, "c", "c"]
    assert told["q_evolution"].to_list() == [0.02] * 3


def test_an_audience_of_nobody_has_its_columns():
    shopped = shop(2)
    log = drawn(np.ones((3, 1, 2)) / 2, 4, shopped, 0)
    told = audience(log, shopped, [NO_CHANGE])
    assert told.height == 0
    assert told.columns[:3] == ["user_id", "segment", "verdict"]
    assert told.schema["brand"] == pl.String
