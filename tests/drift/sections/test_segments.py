"""The table of segments."""

import numpy as np
import polars as pl
from session_logs import make_interests, make_items, make_log, make_users_table, shares_by_half

from interestlab.drift.brands import rank_brands
from interestlab.drift.sections.segments import describe_segments
from interestlab.drift.segmentation import cluster_users
from interestlab.drift.verdicts import BOTH, EVOLVED, INSUFFICIENT_EVIDENCE, MIGRATED, NO_CHANGE

VERDICTS = [MIGRATED, NO_CHANGE, INSUFFICIENT_EVIDENCE, EVOLVED, BOTH]


def make_table(brand_column):
    interests = make_interests(2)
    items = make_items(8, brand=brand_column) if brand_column else make_items(8)
    log = make_log([[[0], [1], [0], [1]]] * 20 + [[[4], [5], [4], [5]]] * 20 + [[[0]]], items=items)
    shares = shares_by_half(log, interests)
    segmentation = cluster_users(shares, np.ones(len(shares.user)), 2, 19, np.random.default_rng(0))
    return describe_segments(shares, segmentation, make_users_table(log, VERDICTS), *rank_brands(log)), log


def test_a_segment_is_described_by_its_preferences():
    table, log = make_table(["x", "y", None, None, "y", "y", None, None])
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


def test_an_unchanged_segment_has_no_source():
    table, _ = make_table(None)
    assert (table["tv"] == 0).all()
    assert (table["p"] == 1).all()
    assert (table["source"].is_null() | (table["source"] != table["destination"])).all()


def test_segments_of_a_log_without_brands_have_no_brands():
    table, _ = make_table(None)
    assert table["brands"].list.len().sum() == 0
    assert table.schema["brands"] == pl.List(pl.String)
    assert table.schema["brand_q"] == pl.List(pl.Float64)
