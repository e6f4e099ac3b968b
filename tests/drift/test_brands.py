"""Brands of items."""

import numpy as np
from session_logs import make_items, make_log

from interestlab.drift.brands import MAX_BRANDS, rank_brands


def test_brands_are_ordered_by_training_events():
    items = make_items(5, brand=["b", "a", None, "b", "late"])
    log = make_log([[[0], [1], [3], [2], [4], [4], [4]]], items=items, train=np.arange(7) < 4)
    brand, names = rank_brands(log)
    assert names == ["b", "a"]
    assert brand.tolist() == [0, 1, -1, 0, -1]


def test_the_number_of_brands_is_limited():
    items = make_items(MAX_BRANDS + 5, brand=[f"b{i:02}" for i in range(MAX_BRANDS + 5)])
    brand, names = rank_brands(make_log([[[i] for i in range(MAX_BRANDS + 5)]], items=items))
    assert len(names) == MAX_BRANDS
    assert (brand == -1).sum() == 5


def test_a_log_without_brands_has_none():
    for items in (make_items(2), make_items(2, brand=[None, None])):
        brand, names = rank_brands(make_log([[[0], [1]]], items=items))
        assert names == []
        assert brand.tolist() == [-1, -1]


def test_brands_absent_from_training_are_ignored():
    log = make_log([[[0], [1]]], items=make_items(2, brand=[None, "late"]), train=np.array([True, False]))
    brand, names = rank_brands(log)
    assert names == []
    assert brand.tolist() == [-1, -1]
