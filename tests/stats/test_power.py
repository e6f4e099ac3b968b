"""Power of the test of homogeneity, and the sample size it needs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from interestlab.stats.power import TARGET_POWER, homogeneity_test_power, required_sample_size

shifts = st.floats(0.05, 0.95)


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 30), shifts)
def test_power_rises_with_sessions_and_shift_and_falls_with_interests(n, n2, interests, shift):
    power = homogeneity_test_power(n, n2, interests, shift, 0.05)
    assert 0.05 - 1e-6 <= power <= 1
    assert homogeneity_test_power(n + 5, n2, interests, shift, 0.05) >= power - 1e-9
    assert homogeneity_test_power(n, n2 + 5, interests, shift, 0.05) >= power - 1e-9
    assert homogeneity_test_power(n, n2, interests, min(shift + 0.04, 1), 0.05) >= power - 1e-9
    assert homogeneity_test_power(n, n2, interests + 1, shift, 0.05) <= power + 1e-9
    np.testing.assert_allclose(homogeneity_test_power(n2, n, interests, shift, 0.05), power)


def test_power_is_0_when_a_window_is_empty():
    assert homogeneity_test_power(np.array([0, 9]), np.array([9, 0]), np.array([3, 3]), 0.5, 0.05).tolist() == [0, 0]


@pytest.mark.parametrize("interests", [1, 2, 5, 20])
@pytest.mark.parametrize("shift", [0.2, 0.5, 0.9])
def test_required_sample_size_is_the_smallest_that_reaches_the_power(interests, shift):
    size = required_sample_size(interests, shift, 0.05)
    assert homogeneity_test_power(size, size, interests, shift, 0.05) >= TARGET_POWER
    assert homogeneity_test_power(size - 1, size - 1, interests, shift, 0.05) < TARGET_POWER


def test_power_is_that_of_a_simulated_chi_square_test():
    """A share moves between two interests of about one half: the test rejects as often as the formula predicts."""
    rng, n, shift = np.random.default_rng(0), 40, 0.3
    p, p2 = np.array([0.5 + shift / 2, 0.5 - shift / 2]), np.array([0.5 - shift / 2, 0.5 + shift / 2])
    first, second = rng.multinomial(n, p, 4000), rng.multinomial(n, p2, 4000)
    expected = (first + second) / 2
    statistic = (((first - expected) ** 2 + (second - expected) ** 2) / np.maximum(expected, 1e-9)).sum(1)
    rejected = (statistic > stats.chi2.isf(0.05, 1)).mean()
    assert rejected == pytest.approx(homogeneity_test_power(n, n, 2, shift, 0.05), abs=0.04)
