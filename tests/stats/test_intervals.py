import math

import pytest

from interestlab.stats.intervals import t_interval


@pytest.mark.parametrize(
    ("freedom", "t"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (14, 2.1448), (19, 2.0930), (29, 2.0452)],
)
def test_half_width_uses_the_tabulated_quantiles_of_student_t(freedom, t):
    values = [float(i) for i in range(freedom + 1)]
    estimate = t_interval(values)
    variance = sum((v - estimate.mean) ** 2 for v in values) / freedom
    assert estimate.half_width == pytest.approx(t * math.sqrt(variance / len(values)), rel=2e-5)


def test_other_levels():
    values = [float(i) for i in range(10)]
    assert t_interval(values, 0.99).half_width / t_interval(values).half_width == pytest.approx(3.2498 / 2.2622, abs=5e-5)


def test_mean_and_interval_by_hand():
    estimate = t_interval([0.1, 0.2, 0.3])
    assert estimate.mean == pytest.approx(0.2)
    assert estimate.half_width == pytest.approx(4.30265 * 0.1 / math.sqrt(3), rel=1e-5)
    assert str(estimate) == "0.2000 ± 0.2484"


def test_a_single_value_has_no_interval():
    assert t_interval([0.25]).half_width is None
    assert str(t_interval([0.25])) == "0.2500"
