"""Where items lie by who meets them."""

import numpy as np
import pytest
from session_logs import flat, items_of, made

from interestlab.drift.vectors import WIDTH, cooccurrence_vectors, reduce_dimensions
from interestlab.errors import DataError


def apart(vectors, groups):
    """Mean cosine within and between groups."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine, same = unit @ unit.T, groups[:, None] == groups
    return cosine[same & ~np.eye(len(groups), dtype=bool)].mean(), cosine[~same].mean()


def crowds(users=60, items=24, groups=3, seed=0, train=None):
    """Users who meet items of one group only, but for one in ten."""
    rng = np.random.default_rng(seed)
    each = items // groups
    told = [
        [int(i) if rng.random() < 0.9 else int(rng.integers(items)) for i in (u % groups) * each + rng.integers(each, size=12)]
        for u in range(users)
    ]
    return made([[[i] for i in h] for h in told], items=items_of(items), train=train)


def test_items_that_the_same_users_meet_are_near_each_other():
    vectors = cooccurrence_vectors(crowds(), width=4)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    near, far = apart(vectors, np.arange(24) // 8)
    assert near > 0.6
    assert far < 0.1


def test_items_that_training_never_met_lie_nowhere_and_move_nothing():
    log = crowds()
    more = flat(
        np.r_[log.user, 59],
        np.r_[log.time, log.time[-1] + 9],
        np.r_[log.item, 24],
        items=items_of(25),
        train=np.r_[np.ones(len(log.time), bool), False],
    )
    vectors = cooccurrence_vectors(more, width=4)
    assert not vectors[24].any()
    np.testing.assert_allclose(vectors[:24] @ vectors[:24].T, (v := cooccurrence_vectors(log, width=4)) @ v.T, atol=1e-3)


def test_items_of_one_category_lie_at_one_place():
    category = [f"c{i // 2}" for i in range(23)] + [None]
    log = crowds()
    vectors = cooccurrence_vectors(flat(log.user, log.time, log.item, items=items_of(24, category=category)), width=4)
    np.testing.assert_array_equal(vectors[0:22:2], vectors[1:22:2])
    assert vectors[23].any()


def test_same_seed_same_vectors():
    np.testing.assert_array_equal(cooccurrence_vectors(crowds(), seed=3), cooccurrence_vectors(crowds(), seed=3))


def test_too_few_users_or_items_are_told_in_a_line():
    for log in (made([[[0], [1]]]), made([[[0]], [[0]], [[1]]])):
        with pytest.raises(DataError, match="too few users and items"):
            cooccurrence_vectors(log)


def test_narrow_vectors_stay_and_wide_ones_keep_what_varies():
    narrow = np.random.default_rng(0).normal(size=(9, WIDTH))
    told, kept = reduce_dimensions(narrow)
    np.testing.assert_allclose(told, narrow, rtol=1e-6)
    assert kept == 1
    flat_ones = np.random.default_rng(1).normal(size=(50, 3)) @ np.random.default_rng(2).normal(size=(3, 80))
    flat_ones[7] = 0
    told, kept = reduce_dimensions(flat_ones)
    assert told.shape == (50, WIDTH)
    assert kept == pytest.approx(1)
    assert not told[7].any()
    np.testing.assert_allclose(told @ told.T, flat_ones @ flat_ones.T, rtol=1e-3, atol=1e-2)


def test_vectors_of_nothing_but_zeros_stay():
    told, _ = reduce_dimensions(np.zeros((4, WIDTH + 1)))
    assert told.shape == (4, WIDTH)
    assert not told.any()
