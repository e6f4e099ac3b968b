"""What a history must hold for an answer, and false discoveries over many users."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from interestlab.stats.power import POWER, false_discovery, needed, power

shifts = st.floats(0.05, 0.95)


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 30), shifts)
def test_power_is_a_chance_that_rises_with_sessions_and_shift_and_falls_with_interests(n, n2, interests, shift):
    here = power(n, n2, interests, shift, 0.05)
    assert 0.05 - 1e-6 <= here <= 1
    assert power(n + 5, n2, interests, shift, 0.05) >= here - 1e-9
    assert power(n, n2 + 5, interests, shift, 0.05) >= here - 1e-9
    assert power(n, n2, interests, min(shift + 0.04, 1), 0.05) >= here - 1e-9
    assert power(n, n2, interests + 1, shift, 0.05) <= here + 1e-9
    np.testing.assert_allclose(power(n2, n, interests, shift, 0.05), here)


def test_a_user_of_one_window_has_none():
    assert power(np.array([0, 9]), np.array([9, 0]), np.array([3, 3]), 0.5, 0.05).tolist() == [0, 0]


@pytest.mark.parametrize("interests", [1, 2, 5, 20])
@pytest.mark.parametrize("shift", [0.2, 0.5, 0.9])
def test_what_is_needed_is_the_first_that_has_the_power(interests, shift):
    many = needed(interests, shift, 0.05)
    assert power(many, many, interests, shift, 0.05) >= POWER
    assert power(many - 1, many - 1, interests, shift, 0.05) < POWER


def test_the_chance_is_that_of_a_chi_square_test():
    """Sessions drawn from halves of the attention that swap a share: the test sees as many as the formula says."""
    rng, n, shift = np.random.default_rng(0), 40, 0.3
    p, p2 = np.array([0.5 + shift / 2, 0.5 - shift / 2]), np.array([0.5 - shift / 2, 0.5 + shift / 2])
    first, second = rng.multinomial(n, p, 4000), rng.multinomial(n, p2, 4000)
    both = (first + second) / 2
    statistic = (((first - both) ** 2 + (second - both) ** 2) / np.maximum(both, 1e-9)).sum(1)
    seen = (statistic > stats.chi2.isf(0.05, 1)).mean()
    assert seen == pytest.approx(power(n, n, 2, shift, 0.05), abs=0.04)


@given(st.lists(st.one_of(st.floats(0, 1), st.none()), max_size=40))
def test_q_values_are_those_of_scipy_and_leave_out_what_was_not_tested(told):
    p = np.array([np.nan if v is None else v for v in told])
    q, known = false_discovery(p), ~np.isnan(p)
    assert (np.isnan(q) == ~known).all()
    if known.any():
        np.testing.assert_allclose(q[known], stats.false_discovery_control(p[known]))
        assert (q[known] >= p[known] - 1e-12).all()


def test_a_p_value_a_rounding_error_above_1_is_1():
    assert false_discovery(np.array([1 + 1e-7])).tolist() == [1]
