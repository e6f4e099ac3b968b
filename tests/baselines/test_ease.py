import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interestlab.baselines import Ease, EaseSettings, ease
from interestlab.baselines.ease import solve_ease, user_item_matrix


@pytest.mark.parametrize("block", [1, 2, 100])
@pytest.mark.parametrize("l2", [0.1, 5.0])
def test_each_column_is_a_ridge_regression_on_the_other_items(monkeypatch, block, l2):
    monkeypatch.setattr(ease, "ROWS_PER_BLOCK", block)
    x = (np.random.default_rng(0).random((30, 7)) < 0.4) * 1.0
    weights = solve_ease(np.asfortranarray(x.T @ x), l2)
    assert weights.flags.c_contiguous
    for j in range(7):
        others = [i for i in range(7) if i != j]
        rest = x[:, others]
        expected = np.linalg.solve(rest.T @ rest + l2 * np.eye(6), rest.T @ x[:, j])
        assert weights[others, j] == pytest.approx(expected)
        assert weights[j, j] == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_matrix_contains_the_training_events_alone(logs, drawn):
    log = drawn.draw(logs)
    expected = [[float(i in items[:n]) for i in range(5)] for items, n in zip(log.histories, log.train, strict=True)]
    assert user_item_matrix(log).toarray().tolist() == expected


def test_scores_sum_the_weights_of_the_distinct_items_of_the_history(data):
    shop = data(["abcab", "aabca", "baab", "acbd"])
    baseline = Ease(shop.log, EaseSettings(l2=1))
    for batch in shop.loader("test"):
        scores = baseline.score(batch).numpy()
        for user, row in zip(batch.users.tolist(), scores, strict=True):
            items = shop.log.item[shop.log.offsets[user] : shop.log.offsets[user + 1] - 1]
            assert row == pytest.approx(baseline.matrix[np.unique(items)].sum(0), abs=1e-6)


def test_large_catalogues_are_skipped():
    assert EaseSettings(max_items=10).reason_to_skip(10) is None
    assert "11 items" in EaseSettings(max_items=10).reason_to_skip(11)
    with pytest.raises(ValueError, match="l2"):
        EaseSettings(l2=0)
