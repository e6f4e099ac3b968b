"""Brands, segments and audiences as tables."""

import numpy as np
import polars as pl
from session_logs import drawn, halved, items_of, made, shop

from interestlab.drift.profiles import BRANDS, RECENT, audiences, rank_brands, segment_table
from interestlab.drift.segmentation import cluster_users
from interestlab.drift.verdicts import BOTH, EVOLVED, INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE

VERDICTS = [MIGRATED, NO_CHANGE, INSUFFICIENT_EVIDENCE, EVOLVED, BOTH]


def people(log, verdicts, **columns):
    """As much of the table of users as the others read."""
    many = len(log.users)
    told = {
        "source": "a",
        "destination": "b",
        "evolved_in": "c",
        "q_migration": 0.01,
        "q_evolution": 0.02,
        "segment": "s",
    } | columns
    frame = pl.DataFrame({"user_id": log.users, "verdict": [verdicts[u % len(verdicts)] for u in range(many)]})
    last = log.time[log.offsets[1:] - 1]
    return frame.with_columns(last=pl.Series(last), **{k: pl.lit(v) for k, v in told.items()})


def test_brands_are_those_that_training_met_most():
    items = items_of(5, brand=["b", "a", None, "b", "late"])
    log = made([[[0], [1], [3], [2], [4], [4], [4]]], items=items, train=np.arange(7) < 4)
    brand, names = rank_brands(log)
    assert names == ["b", "a"]
    assert brand.tolist() == [0, 1, -1, 0, -1]


def test_only_so_many_brands_are_followed():
    items = items_of(BRANDS + 5, brand=[f"b{i:02}" for i in range(BRANDS + 5)])
    brand, names = rank_brands(made([[[i] for i in range(BRANDS + 5)]], items=items))
    assert len(names) == BRANDS
    assert (brand == -1).sum() == 5


def test_a_log_without_brands_has_none():
    for items in (items_of(2), items_of(2, brand=[None, None])):
        brand, names = rank_brands(made([[[0], [1]]], items=items))
        assert names == []
        assert brand.tolist() == [-1, -1]


def test_brands_that_training_never_met_are_none():
    log = made([[[0], [1]]], items=items_of(2, brand=[None, "late"]), train=np.array([True, False]))
    brand, names = rank_brands(log)
    assert names == []
    assert brand.tolist() == [-1, -1]


def profiled(brand_column):
    shopped = shop(2)
    items = items_of(8, brand=brand_column) if brand_column else items_of(8)
    log = made([[[0], [1], [0], [1]]] * 20 + [[[4], [5], [4], [5]]] * 20 + [[[0]]], items=items)
    shares = halved(log, shopped)
    found = cluster_users(shares, np.ones(len(shares.user)), 2, 19, np.random.default_rng(0))
    return segment_table(shares, found, people(log, VERDICTS), *rank_brands(log)), log


def test_a_segment_is_told_by_what_it_prefers():
    table, log = profiled(["x", "y", None, None, "y", "y", None, None])
    first = table.filter(segment="interest 0").row(0, named=True)
    assert table["users"].sum() == len(log.users)
    assert table["events"].sum() == len(log.time)
    assert first["interests"] == ["interest 0"]
    assert first["lifts"][0] > 1.5
    assert first["brands"] == ["x"]
    assert first["brand_lifts"][0] > 1.5
    assert first["brand_q"][0] < 0.01
    assert table["answered"].sum() == sum(VERDICTS[u % 5] != INSUFFICIENT_EVIDENCE for u in range(41))
    assert table["migrated"].sum() == sum(VERDICTS[u % 5] in (MIGRATED, BOTH) for u in range(41))


def test_a_segment_that_did_not_move_comes_from_nowhere():
    table, _ = profiled(None)
    assert (table["tv"] == 0).all()
    assert (table["p"] == 1).all()
    assert (table["source"].is_null() | (table["source"] != table["destination"])).all()


def test_segments_of_a_log_without_brands_have_none():
    table, _ = profiled(None)
    assert table["brands"].list.len().sum() == 0
    assert table.schema["brands"] == pl.List(pl.String)
    assert table.schema["brand_q"] == pl.List(pl.Float64)


def test_an_audience_is_everyone_of_whom_a_change_is_told():
    shopped = shop(2)
    items = items_of(8, brand=["x", "y", None, None, "y", "y", None, None])
    late = [[0]] * 30 + [[4]] * (RECENT - 5) + [[1]] * 5  # what counts is the last events
    log = made([late, [[0]], [[1]], [[2]], [[0], [0], [4]]], items=items)
    told = audiences(log, shopped, people(log, VERDICTS), *rank_brands(log)).sort("user_id")
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
    told = audiences(log, shopped, people(log, [NO_CHANGE]), *rank_brands(log))
    assert told.height == 0
    assert told.columns[:3] == ["user_id", "segment", "verdict"]
    assert told.schema["brand"] == pl.String
