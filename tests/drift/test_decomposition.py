"""Migration and evolution add up to the change of the mean, whatever the values."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from session_logs import alike, drawn, halved, made, shop

from interestlab.drift.decomposition import decompose, fill_missing_centroids
from interestlab.drift.shares import InterestShares

numbers = st.floats(-1e3, 1e3, width=64)
sizes = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4))  # users, interests, dimensions


@st.composite
def windows(draw):
    """Any shares, not even of one sum, and any centroids."""
    users, interests, width = draw(sizes)
    p, p2 = (draw(arrays(float, (users, interests), elements=numbers)) for _ in range(2))
    mu, mu2 = (draw(arrays(float, (users, interests, width), elements=numbers)) for _ in range(2))
    return p, mu, p2, mu2


@given(windows())
def test_the_parts_add_up_to_the_change(given_windows):
    p, mu, p2, mu2 = given_windows
    migration, evolution = decompose(p, mu, p2, mu2)
    change = (p2[..., None] * mu2).sum(-2) - (p[..., None] * mu).sum(-2)
    np.testing.assert_allclose(migration + evolution, change, rtol=1e-9, atol=1e-6)


@given(windows())
def test_exchanged_windows_flip_both_signs(given_windows):
    p, mu, p2, mu2 = given_windows
    there, back = decompose(p, mu, p2, mu2), decompose(p2, mu2, p, mu)
    for part, other in zip(there, back, strict=True):
        np.testing.assert_allclose(part, -other, rtol=1e-9, atol=1e-6)


@given(windows())
def test_shares_that_stay_do_not_migrate_and_centroids_that_stay_do_not_evolve(given_windows):
    p, mu, p2, mu2 = given_windows
    assert not decompose(p, mu, p, mu2).migration.any()
    assert not decompose(p, mu, p2, mu).evolution.any()


def test_an_interest_that_appears_or_vanishes_migrates_alone():
    there, never = np.array([[[2.0, 0.0], [0.0, 0.0]]]), np.array([[1, 0]])
    mu, mu2 = fill_missing_centroids(there, never, there[:, ::-1] + [[0.0, 6.0]] * np.array([[[0], [1]]]), never[:, ::-1])
    np.testing.assert_array_equal(mu, mu2)
    migration, evolution = decompose(np.array([[1.0, 0.0]]), mu, np.array([[0.0, 1.0]]), mu2)
    assert not evolution.any()
    np.testing.assert_array_equal(migration, mu[:, 1] - mu[:, 0])


def test_windows_without_an_interest_fill_it_with_zeros():
    nothing = np.zeros((1, 2, 3)), np.zeros((1, 2))
    for mu in fill_missing_centroids(*nothing, *nothing):
        np.testing.assert_array_equal(mu, 0)


def means(log, interests, late):
    return np.array(
        [
            interests.vectors[log.item[(log.user == u) & (late == side)]].astype(float).mean(0)
            for u in range(len(log.users))
            for side in (False, True)
        ]
    ).reshape(len(log.users), 2, -1)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_the_split_of_histories_adds_up_to_the_means_of_their_windows(seed, interests):
    shopped = shop(interests, seed=seed)
    log = drawn(alike(6, interests, seed, sharp=0.3), np.arange(2, 8), shopped, seed + 1)
    shares = halved(log, shopped)
    by_hand = means(log, shopped, shares.is_after[log.session])
    np.testing.assert_allclose(sum(shares.decomposition), by_hand[:, 1] - by_hand[:, 0], atol=1e-6)


def test_a_history_that_leaves_an_interest_only_migrates_and_one_that_stays_only_evolves():
    shopped = shop(3)  # 4 items an interest, 2 a leaf
    shares = halved(made([[[0]] * 3 + [[5]] * 3, [[0]] * 3 + [[2]] * 3]), shopped)
    migration, evolution = shares.decomposition
    np.testing.assert_allclose(migration[0], shopped.vectors[5] - shopped.vectors[0], atol=1e-6)
    np.testing.assert_allclose(evolution[1], shopped.vectors[2] - shopped.vectors[0], atol=1e-6)
    assert not evolution[0].any()
    assert not migration[1].any()


def test_histories_told_backwards_flip_both_signs():
    shopped, there = shop(3), [[0, 5], [2, 9, 9], [4, 0, 8], [1]]
    forward, backward = (InterestShares(made([h]), shopped, np.array([2])).decomposition for h in (there, there[::-1]))
    for part, other in zip(forward, backward, strict=True):
        np.testing.assert_allclose(part, -other, atol=1e-6)
    assert np.abs(forward.evolution).max() > 0.01
