"""Item vectors from the users that items have in common."""

import numpy as np
import pytest
from session_logs import log_from_events, make_items, make_log

from interestlab.drift.vectors import WIDTH, cooccurrence_vectors, reduce_dimensions
from interestlab.errors import DataError


def mean_cosines(vectors, groups):
    """Mean cosine within and between groups."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine, same = unit @ unit.T, groups[:, None] == groups
    return cosine[same & ~np.eye(len(groups), dtype=bool)].mean(), cosine[~same].mean()


def make_group_log(users=60, items=24, groups=3, seed=0, train=None):
    """A log of users whose items are of one group, except for one in ten."""
    rng = np.random.default_rng(seed)
    each = items // groups
    histories = [
        [int(i) if rng.random() < 0.9 else int(rng.integers(items)) for i in (u % groups) * each + rng.integers(each, size=12)]
        for u in range(users)
    ]
    return make_log([[[i] for i in h] for h in histories], items=make_items(items), train=train)


def test_items_of_the_same_users_have_similar_vectors():
    vectors = cooccurrence_vectors(make_group_log(), width=4)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    within, between = mean_cosines(vectors, np.arange(24) // 8)
    assert within > 0.6
    assert between < 0.1


def test_items_absent_from_training_have_zero_vectors_and_no_influence():
    log = make_group_log()
    extended = log_from_events(
        np.r_[log.user, 59],
        np.r_[log.time, log.time[-1] + 9],
        np.r_[log.item, 24],
        items=make_items(25),
        train=np.r_[np.ones(len(log.time), bool), False],
    )
    vectors = cooccurrence_vectors(extended, width=4)
    assert not vectors[24].any()
    np.testing.assert_allclose(
        vectors[:24] @ vectors[:24].T, (expected := cooccurrence_vectors(log, width=4)) @ expected.T, atol=1e-3
    )


def test_items_of_one_category_have_the_same_vector():
    category = [f"c{i // 2}" for i in range(23)] + [None]
    log = make_group_log()
    vectors = cooccurrence_vectors(
        log_from_events(log.user, log.time, log.item, items=make_items(24, category=category)), width=4
    )
    np.testing.assert_array_equal(vectors[0:22:2], vectors[1:22:2])
    assert vectors[23].any()


def test_vectors_are_reproducible():
    np.testing.assert_array_equal(
        cooccurrence_vectors(make_group_log(), seed=3), cooccurrence_vectors(make_group_log(), seed=3)
    )


def test_too_few_users_or_items_are_reported_in_one_line():
    for log in (make_log([[[0], [1]]]), make_log([[[0]], [[0]], [[1]]])):
        with pytest.raises(DataError, match="too few users and items"):
            cooccurrence_vectors(log)


def test_narrow_vectors_are_unchanged_and_wide_ones_keep_their_variance():
    narrow = np.random.default_rng(0).normal(size=(9, WIDTH))
    reduced, retained = reduce_dimensions(narrow)
    np.testing.assert_allclose(reduced, narrow, rtol=1e-6)
    assert retained == 1
    low_rank = np.random.default_rng(1).normal(size=(50, 3)) @ np.random.default_rng(2).normal(size=(3, 80))
    low_rank[7] = 0
    reduced, retained = reduce_dimensions(low_rank)
    assert reduced.shape == (50, WIDTH)
    assert retained == pytest.approx(1)
    assert not reduced[7].any()
    np.testing.assert_allclose(reduced @ reduced.T, low_rank @ low_rank.T, rtol=1e-3, atol=1e-2)


def test_zero_vectors_stay_zero():
    reduced, _ = reduce_dimensions(np.zeros((4, WIDTH + 1)))
    assert reduced.shape == (4, WIDTH)
    assert not reduced.any()
