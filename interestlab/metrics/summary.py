"""Recall, NDCG and MRR at k from the ranks of the targets: per user, their means, and their means by group of targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from interestlab.metrics.groups import group_masks, split_by_group
from interestlab.metrics.target_rank import TargetRanks
from interestlab.stats.bootstrap import bootstrap_mean_interval


@dataclass(frozen=True)
class MetricSummary:
    """The metrics of one ranking.

    Attributes:
        means: mean over users of each metric, such as ``recall@10`` or ``cold/recall@10``.
        intervals: 95% percentile bootstrap interval over users of each mean.
        group_users: number of users of each group; empty if the users were not grouped.
    """

    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    group_users: dict[str, int]

    def as_json(self, prefix: str) -> dict[str, Any]:
        """Return the content of ``metrics.json``.

        Args:
            prefix: prefix of the names, such as ``test/``.
        """
        means = {f"{prefix}{name}": value for name, value in self.means.items()}
        return means | self.intervals_and_users_as_json(prefix)

    def intervals_and_users_as_json(self, prefix: str) -> dict[str, Any]:
        """Return the content of ``metrics.json`` without the means.

        Args:
            prefix: prefix of the names, such as ``test/``.
        """
        intervals = {f"{prefix}{name}/ci95": list(interval) for name, interval in self.intervals.items()}
        return intervals | {f"{prefix}{group}/users": users for group, users in self.group_users.items()}


def summarise(ranks: TargetRanks, ks: Sequence[int], item_counts: np.ndarray | None = None) -> MetricSummary:
    """Compute the metrics of all users and, with item counts, of each group of targets.

    Args:
        ranks: ranks of the targets.
        ks: cut-offs.
        item_counts: ``[N]`` number of training events of each item; None: do not group the users.
    """
    values, group_users = per_user_metrics(ranks, ks), dict[str, int]()
    if item_counts is not None:
        target_counts = item_counts[ranks.targets.numpy()]
        values |= split_by_group(values, target_counts)
        group_users = {name: int(mask.sum()) for name, mask in group_masks(target_counts).items()}
    means = {name: float(by_user.mean()) for name, by_user in values.items()}
    return MetricSummary(means, {name: bootstrap_mean_interval(v) for name, v in values.items()}, group_users)


def per_user_metrics(ranks: TargetRanks, ks: Sequence[int]) -> dict[str, np.ndarray]:
    """Compute ``recall@k``, ``ndcg@k`` and ``mrr@k`` of each user, who has one target.

    If other items score the same as the target, the value is its mean over all orders of the tied items (McSherry and
    Najork, Computing information retrieval performance measures efficiently in the presence of tied scores, ECIR 2008), so
    it does not depend on the order of the catalogue.

    Args:
        ranks: ranks of the targets.
        ks: cut-offs.

    Returns:
        Metric name -> ``[users]`` float64.
    """
    higher, tied = ranks.num_higher.numpy(), ranks.num_tied.numpy()
    metrics = {}
    for k in ks:
        rank = np.arange(1, k + 1)
        for name, gain in {"recall": np.ones(k), "ndcg": 1 / np.log2(rank + 1), "mrr": 1 / rank}.items():
            total = np.concatenate([[0.0], np.cumsum(gain)])
            first, last = np.minimum(higher, k), np.minimum(higher + tied + 1, k)
            # Without ties, take the gain itself: a difference of cumulative sums would be rounded.
            untied = np.where(higher < k, np.append(gain, 0.0)[first], 0.0)
            metrics[f"{name}@{k}"] = np.where(tied == 0, untied, (total[last] - total[first]) / (tied + 1))
    return metrics
