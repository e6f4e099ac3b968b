"""Migration and evolution add up to the change of the mean, for any values."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from session_logs import constant_shares, make_interests, make_log, sample_log, shares_by_half

from interestlab.drift.decomposition import decompose, fill_missing_centroids
from interestlab.drift.shares import InterestShares

numbers = st.floats(-1e3, 1e3, width=64)
sizes = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4))  # users, interests, dimensions


@st.composite
def windows(draw):
    """Any shares, which need not sum to one, and any centroids."""
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
def test_swapping_the_windows_flips_both_signs(given_windows):
    p, mu, p2, mu2 = given_windows
    forward, backward = decompose(p, mu, p2, mu2), decompose(p2, mu2, p, mu)
    for part, other in zip(forward, backward, strict=True):
        np.testing.assert_allclose(part, -other, rtol=1e-9, atol=1e-6)


@given(windows())
def test_equal_shares_give_no_migration_and_equal_centroids_no_evolution(given_windows):
    p, mu, p2, mu2 = given_windows
    assert not decompose(p, mu, p, mu2).migration.any()
    assert not decompose(p, mu, p2, mu).evolution.any()


def test_appearing_and_vanishing_interests_only_migrate():
    centroids, counts = np.array([[[2.0, 0.0], [0.0, 0.0]]]), np.array([[1, 0]])
    mu, mu2 = fill_missing_centroids(
        centroids, counts, centroids[:, ::-1] + [[0.0, 6.0]] * np.array([[[0], [1]]]), counts[:, ::-1]
    )
    np.testing.assert_array_equal(mu, mu2)
    migration, evolution = decompose(np.array([[1.0, 0.0]]), mu, np.array([[0.0, 1.0]]), mu2)
    assert not evolution.any()
    np.testing.assert_array_equal(migration, mu[:, 1] - mu[:, 0])


def test_an_interest_absent_from_both_windows_has_zero_centroids():
    empty = np.zeros((1, 2, 3)), np.zeros((1, 2))
    for mu in fill_missing_centroids(*empty, *empty):
        np.testing.assert_array_equal(mu, 0)


def window_means(log, interests, late):
    return np.array(
        [
            interests.vectors[log.item[(log.user == u) & (late == side)]].astype(float).mean(0)
            for u in range(len(log.users))
            for side in (False, True)
        ]
    ).reshape(len(log.users), 2, -1)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_the_decomposition_of_a_log_adds_up_to_the_change_of_the_means(seed, num_interests):
    interests = make_interests(num_interests, seed=seed)
    log = sample_log(constant_shares(6, num_interests, seed, concentration=0.3), np.arange(2, 8), interests, seed + 1)
    shares = shares_by_half(log, interests)
    expected = window_means(log, interests, shares.is_after[log.session])
    np.testing.assert_allclose(sum(shares.decomposition), expected[:, 1] - expected[:, 0], atol=1e-6)


def test_a_history_that_leaves_an_interest_only_migrates_and_one_that_stays_only_evolves():
    interests = make_interests(3)  # 4 items per interest, 2 per leaf
    shares = shares_by_half(make_log([[[0]] * 3 + [[5]] * 3, [[0]] * 3 + [[2]] * 3]), interests)
    migration, evolution = shares.decomposition
    np.testing.assert_allclose(migration[0], interests.vectors[5] - interests.vectors[0], atol=1e-6)
    np.testing.assert_allclose(evolution[1], interests.vectors[2] - interests.vectors[0], atol=1e-6)
    assert not evolution[0].any()
    assert not migration[1].any()


def test_reversed_histories_flip_both_signs():
    interests, history = make_interests(3), [[0, 5], [2, 9, 9], [4, 0, 8], [1]]
    forward, backward = (
        InterestShares(make_log([h]), interests, np.array([2])).decomposition for h in (history, history[::-1])
    )
    for part, other in zip(forward, backward, strict=True):
        np.testing.assert_allclose(part, -other, atol=1e-6)
    assert np.abs(forward.evolution).max() > 0.01
