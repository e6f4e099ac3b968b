from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.contract import EventLog
from interestlab.data.histories import build_histories, k_core_filter
from interestlab.data.text_cleaning import Cleaning
from interestlab.data.validate import validate
from interestlab.errors import DataError

EVENTS = st.lists(st.tuples(st.sampled_from("uvwxy"), st.sampled_from("abcde"), st.integers(1, 4)), min_size=1, max_size=40)


def build(rows, items=None, **settings):
    frame = pl.LazyFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    if "position" in settings:
        frame = frame.with_columns(position=pl.Series(settings.pop("position")))
    validated = validate(EventLog(frame, items))
    return build_histories(
        validated, **({"clean": Cleaning(), "k_core": 0, "min_history": 0, "ties": "file", "seed": 0} | settings)
    )


def by_user(histories):
    """Return the item ids of each user, in order."""
    names = histories.items["item_id"].to_list()
    items = [names[i] for i in histories.events["item"]]
    return {
        u: items[a:b] for u, a, b in zip(histories.users["user_id"], histories.offsets, histories.offsets[1:], strict=False)
    }


def brute_force_k_core(rows, k):
    while True:
        users, items = Counter(u for u, *_ in rows), Counter(i for _, i, *_ in rows)
        remaining = [r for r in rows if users[r[0]] >= k and items[r[1]] >= k]
        if remaining == rows:
            return rows
        rows = remaining


@settings(deadline=None)
@given(EVENTS, st.integers(0, 5))
def test_k_core(rows, k):
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    filtered = k_core_filter(frame, k)
    assert filtered.rows() == brute_force_k_core(rows, k)
    assert k_core_filter(filtered, k).equals(filtered)


def test_k_core_repeats_until_nothing_is_removed():
    # Removing u3 leaves b with one event; removing b leaves u2 with one.
    rows = [("u1", "a", 1), ("u1", "a", 2), ("u2", "a", 1), ("u2", "b", 2), ("u3", "b", 1)]
    assert by_user(build(rows, k_core=2)) == {"u1": ["a", "a"]}


@settings(deadline=None)
@given(EVENTS, st.sampled_from(["file", "shuffle", "item"]))
def test_histories_are_sorted_and_complete(rows, ties):
    histories = build(rows, ties=ties)
    assert histories.offsets[0] == 0
    assert histories.offsets[-1] == len(rows)
    assert histories.users["user_id"].to_list() == sorted({u for u, *_ in rows})
    assert histories.items["item_id"].to_list() == sorted({i for _, i, _ in rows})
    users = np.repeat(np.arange(len(histories.users)), np.diff(histories.offsets))
    assert (histories.events["user"].to_numpy() == users).all()
    times = histories.events["timestamp"].to_numpy()
    assert all((np.diff(times[a:b]) >= 0).all() for a, b in zip(histories.offsets, histories.offsets[1:], strict=False))
    names, ids = histories.items["item_id"], histories.users["user_id"]
    rows_read = [(ids[u], names[i], t) for u, i, t in histories.events.select("user", "item", "timestamp").rows()]
    assert Counter(rows_read) == Counter(rows)


def test_min_history():
    rows = [("u", "a", 1), ("u", "b", 2), ("v", "a", 1), ("w", "c", 1), ("w", "a", 2), ("w", "a", 3)]
    assert set(by_user(build(rows, min_history=2))) == {"u", "w"}
    assert set(by_user(build(rows, min_history=3))) == {"w"}
    assert build(rows, min_history=3).items["item_id"].to_list() == ["a", "c"]


def test_nothing_left():
    with pytest.raises(DataError, match="no event is left after k_core=3 and min_history=0"):
        build([("u", "a", 1)], k_core=3)


TIED = [("u", i, 5) for i in "dbace"] + [("u", "f", 1)]


def test_ties_by_file():
    assert by_user(build(TIED)) == {"u": list("fdbace")}


def test_ties_by_position():
    assert by_user(build(TIED, position=[5, 4, 3, 2, 1, 9])) == {"u": list("fecabd")}


def test_ties_by_item():
    assert by_user(build(TIED, ties="item", position=[5, 4, 3, 2, 1, 9])) == {"u": list("fabcde")}


def test_ties_by_shuffling():
    orders = [by_user(build(TIED, ties="shuffle", seed=s))["u"] for s in (0, 0, 1, 2, 3)]
    assert orders[0] == orders[1]
    assert len({tuple(o) for o in orders}) > 1
    assert all(sorted(o) == list("abcdef") and o[0] == "f" for o in orders)


def test_every_item_has_a_row_with_its_texts():
    items = pl.LazyFrame({"item_id": ["b", "a", "zz"], "title": ["B &amp; b", "Ａ", "not bought"]})
    histories = build([("u", "a", 1), ("u", "b", 2), ("u", "c", 3)], items)
    assert histories.items.select("item_id", "title").rows() == [("a", "A"), ("b", "B & b"), ("c", None)]


def test_ids_are_not_cleaned():
    histories = build([("Ｕ&amp;", "<b>Ａ", 1)])
    assert by_user(histories) == {"Ｕ&amp;": ["<b>Ａ"]}
