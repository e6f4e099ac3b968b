from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interestlab.metrics import TargetRankMetric, TargetRanks, bootstrap, per_user


def places(better, equal):
    users = torch.arange(len(better))
    return TargetRanks(users, users, torch.tensor(better), torch.tensor(equal))


def test_by_hand():
    found = per_user(places([0, 1, 3, 5], [0, 0, 0, 0]), [1, 5])
    assert list(found) == ["recall@1", "ndcg@1", "mrr@1", "recall@5", "ndcg@5", "mrr@5"]
    assert found["recall@1"].tolist() == found["ndcg@1"].tolist() == found["mrr@1"].tolist() == [1, 0, 0, 0]
    assert found["recall@5"].tolist() == [1, 1, 1, 0]
    assert found["ndcg@5"] == pytest.approx([1, 0.6309297535714575, 0.43067655807339306, 0])
    assert found["mrr@5"].tolist() == [1, 1 / 2, 1 / 4, 0]


@given(st.integers(0, 4), st.integers(0, 4), st.integers(1, 8))
def test_ties_are_the_mean_over_all_orders(better, equal, k):
    ranks = [better + order.index(0) + 1 for order in permutations(range(equal + 1))]
    gains = {
        "recall": [float(r <= k) for r in ranks],
        "ndcg": [1 / np.log2(r + 1) if r <= k else 0.0 for r in ranks],
        "mrr": [1 / r if r <= k else 0.0 for r in ranks],
    }
    found = per_user(places([better], [equal]), [k])
    for name, gain in gains.items():
        assert found[f"{name}@{k}"][0] == pytest.approx(np.mean(gain))


def test_a_model_that_scores_all_alike_is_chance():
    assert per_user(places([0], [99]), [10])["recall@10"][0] == pytest.approx(0.1)


def test_interval_holds_the_mean_and_is_seeded():
    values = np.random.default_rng(0).random(400)
    low, high = bootstrap(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.15)
    assert bootstrap(values) == (low, high)
    assert bootstrap(values, seed=1) != (low, high)
    narrow = bootstrap(values, level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_interval_of_equal_values_is_a_point():
    assert bootstrap(np.full(10, 0.25)) == (0.25, 0.25)


def test_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    inside = [low <= 0.3 <= high for low, high in (bootstrap((rng.random(200) < 0.3) * 1.0, draws=500) for _ in range(200))]
    assert 0.89 <= np.mean(inside) <= 0.99


def test_places_are_gathered_in_the_order_of_users():
    metric = TargetRankMetric()
    order = torch.tensor([5, 2, 9, 0, 7])
    whole = TargetRanks(order, order * 10, order * 2, order % 3)
    for part in (slice(0, 2), slice(2, 5)):
        metric.update(TargetRanks(*(column[part] for column in whole)))
    found = metric.gather()
    assert found.users.tolist() == [0, 2, 5, 7, 9]
    assert found.targets.tolist() == [0, 20, 50, 70, 90]
    assert found.better.tolist() == [0, 4, 10, 14, 18]
    assert found.equal.tolist() == [0, 2, 2, 1, 0]
    metric.reset()
    metric.update(TargetRanks(*(torch.tensor([1]) for _ in range(4))))
    assert metric.gather().users.tolist() == [1]
