import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from interestlab.stats.multiple_testing import benjamini_hochberg, holm


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_the_order_and_is_at_least_as_powerful_as_bonferroni(p):
    adjusted = holm(p)
    assert all(raw <= corrected <= min(1, len(p) * raw) for raw, corrected in zip(p, adjusted, strict=True))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


@given(st.lists(st.one_of(st.floats(0, 1), st.none()), max_size=40))
def test_q_values_are_those_of_scipy_and_skip_nan(values):
    p = np.array([np.nan if v is None else v for v in values])
    q, known = benjamini_hochberg(p), ~np.isnan(p)
    assert (np.isnan(q) == ~known).all()
    if known.any():
        np.testing.assert_allclose(q[known], stats.false_discovery_control(p[known]))
        assert (q[known] >= p[known] - 1e-12).all()


def test_a_p_value_a_rounding_error_above_1_is_1():
    assert benjamini_hochberg(np.array([1 + 1e-7])).tolist() == [1]
