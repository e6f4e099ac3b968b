"""Brands of the items."""

import numpy as np
from session_logs import items_of, made

from interestlab.drift.brands import MAX_BRANDS, rank_brands


def test_brands_are_those_that_training_met_most():
    items = items_of(5, brand=["b", "a", None, "b", "late"])
    log = made([[[0], [1], [3], [2], [4], [4], [4]]], items=items, train=np.arange(7) < 4)
    brand, names = rank_brands(log)
    assert names == ["b", "a"]
    assert brand.tolist() == [0, 1, -1, 0, -1]


def test_only_so_many_brands_are_followed():
    items = items_of(MAX_BRANDS + 5, brand=[f"b{i:02}" for i in range(MAX_BRANDS + 5)])
    brand, names = rank_brands(made([[[i] for i in range(MAX_BRANDS + 5)]], items=items))
    assert len(names) == MAX_BRANDS
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
