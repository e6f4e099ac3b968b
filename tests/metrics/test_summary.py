from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interestlab.metrics import TARGET_GROUPS, TargetRankMetric, TargetRanks, per_user_metrics, summarise


def target_ranks(num_higher, num_tied):
    users = torch.arange(len(num_higher))
    return TargetRanks(users, users, torch.tensor(num_higher), torch.tensor(num_tied))


def test_metrics_by_hand():
    result = per_user_metrics(target_ranks([0, 1, 3, 5], [0, 0, 0, 0]), [1, 5])
    assert list(result) == ["recall@1", "ndcg@1", "mrr@1", "recall@5", "ndcg@5", "mrr@5"]
    assert result["recall@1"].tolist() == result["ndcg@1"].tolist() == result["mrr@1"].tolist() == [1, 0, 0, 0]
    assert result["recall@5"].tolist() == [1, 1, 1, 0]
    assert result["ndcg@5"] == pytest.approx([1, 0.6309297535714575, 0.43067655807339306, 0])
    assert result["mrr@5"].tolist() == [1, 1 / 2, 1 / 4, 0]


@given(st.integers(0, 4), st.integers(0, 4), st.integers(1, 8))
def test_ties_are_the_mean_over_all_orders(better, equal, k):
    ranks = [better + order.index(0) + 1 for order in permutations(range(equal + 1))]
    gains = {
        "recall": [float(r <= k) for r in ranks],
        "ndcg": [1 / np.log2(r + 1) if r <= k else 0.0 for r in ranks],
        "mrr": [1 / r if r <= k else 0.0 for r in ranks],
    }
    result = per_user_metrics(target_ranks([better], [equal]), [k])
    for name, gain in gains.items():
        assert result[f"{name}@{k}"][0] == pytest.approx(np.mean(gain))


def test_equal_scores_give_the_metric_of_a_random_order():
    assert per_user_metrics(target_ranks([0], [99]), [10])["recall@10"][0] == pytest.approx(0.1)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3), st.integers(0, 6)), min_size=1, max_size=20))
def test_groups_of_targets_partition_the_users(users):
    num_higher, num_tied, counts = zip(*users, strict=True)
    summary = summarise(target_ranks(list(num_higher), list(num_tied)), [5, 10], np.array(counts))
    assert summary.group_users.keys() == TARGET_GROUPS.keys()
    assert sum(summary.group_users.values()) == len(users)
    for name in ("recall@5", "ndcg@10", "mrr@5"):
        groups = {group: n for group, n in summary.group_users.items() if n}
        assert {f"{group}/{name}" in summary.means for group in TARGET_GROUPS} == {n > 0 for n in summary.group_users.values()}
        total = sum(n * summary.means[f"{group}/{name}"] for group, n in groups.items())
        assert summary.means[name] == pytest.approx(total / len(users))


def test_groups_of_targets_by_hand():
    summary = summarise(target_ranks([0, 50, 0, 50, 0], [0] * 5), [10], np.array([0, 0, 1, 3, 4]))
    assert summary.group_users == {"cold": 2, "rare": 2, "frequent": 1}
    assert [summary.means[f"{group}/recall@10"] for group in ("cold", "rare", "frequent")] == [0.5, 0.5, 1]
    assert summary.as_json("test/")["test/cold/users"] == 2
    assert summary.as_json("test/")["test/frequent/recall@10/ci95"] == [1, 1]
    ungrouped = summarise(target_ranks([0], [0]), [10])
    assert not ungrouped.group_users
    assert all("/" not in name for name in ungrouped.means)


def test_ranks_are_gathered_in_the_order_of_users():
    metric = TargetRankMetric()
    order = torch.tensor([5, 2, 9, 0, 7])
    ranks = TargetRanks(order, order * 10, order * 2, order % 3)
    for part in (slice(0, 2), slice(2, 5)):
        metric.update(TargetRanks(*(column[part] for column in ranks)))
    result = metric.gather()
    assert result.users.tolist() == [0, 2, 5, 7, 9]
    assert result.targets.tolist() == [0, 20, 50, 70, 90]
    assert result.num_higher.tolist() == [0, 4, 10, 14, 18]
    assert result.num_tied.tolist() == [0, 2, 2, 1, 0]
    metric.reset()
    metric.update(TargetRanks(*(torch.tensor([1]) for _ in range(4))))
    assert metric.gather().users.tolist() == [1]
