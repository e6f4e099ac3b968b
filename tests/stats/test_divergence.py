"""Properties of distances between distributions."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from interestlab.stats.divergence import entropy, jensen_shannon, standardised_range, total_variation


@st.composite
def pairs(draw):
    """Two distributions, often with zeros."""
    size = draw(st.integers(1, 8))
    counts = draw(arrays(np.int64, (2, size), elements=st.integers(0, 12)))
    assume(counts.sum(1).all())
    return counts / counts.sum(1, keepdims=True)


@given(pairs())
def test_distances_are_symmetric_and_between_0_and_1(shares):
    for distance in (total_variation, jensen_shannon):
        forward, backward = distance(*shares), distance(*shares[::-1])
        assert 0 <= forward <= 1 + 1e-12
        np.testing.assert_allclose(forward, backward, atol=1e-12)


@given(pairs())
def test_distances_are_0_only_for_equal_distributions(shares):
    for distance in (total_variation, jensen_shannon):
        assert distance(shares[0], shares[0]) < 1e-12
        assert (distance(*shares) > 1e-9) == (np.abs(shares[0] - shares[1]).max() > 1e-9)


@given(pairs())
def test_jensen_shannon_equals_scipy_and_is_bounded_by_total_variation(shares):
    js, tv = jensen_shannon(*shares), total_variation(*shares)
    np.testing.assert_allclose(js, jensenshannon(*shares, base=2) ** 2, atol=1e-7)
    assert js <= tv + 1e-9  # Lin 1991, theorem 3, in bits
    assert js >= tv**2 / (2 * np.log(2)) - 1e-9  # Pinsker's inequality on both halves


def test_disjoint_distributions_have_distance_1():
    distributions = np.array([0.5, 0.5, 0]), np.array([0, 0, 1])
    assert total_variation(*distributions) == jensen_shannon(*distributions) == 1


@given(pairs())
def test_entropy_equals_scipy_and_is_at_most_that_of_the_uniform_distribution(shares):
    np.testing.assert_allclose(entropy(shares), scipy_entropy(shares, base=2, axis=1), atol=1e-9)
    assert (entropy(shares) <= np.log2(shares.shape[1]) + 1e-9).all()
    assert (entropy(shares) >= -1e-12).all()


@given(arrays(np.int64, (2, 5), elements=st.integers(0, 20)), st.permutations(range(5)))
def test_standardised_range_is_symmetric_and_independent_of_order(counts, order):
    assume(counts.sum(1).all())
    expected = standardised_range(*counts)
    assert expected >= 0
    np.testing.assert_allclose(standardised_range(*counts[::-1]), expected, atol=1e-9)
    np.testing.assert_allclose(standardised_range(*counts[:, list(order)]), expected, atol=1e-9)


def test_standardised_range_is_the_largest_rise_plus_the_largest_fall():
    first, second = np.array([8, 2, 2]), np.array([0, 6, 2])
    z = [(second[k] / 8 - first[k] / 12) / np.sqrt((first[k] + second[k]) / 20 * (1 / 12 + 1 / 8)) for k in range(3)]
    np.testing.assert_allclose(standardised_range(first, second), max(z) - min(z))
    assert standardised_range(np.array([3]), np.array([5])) == 0  # a single interest has nothing to exchange
