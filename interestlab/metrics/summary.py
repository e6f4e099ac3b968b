"""Recall, NDCG and MRR at k, per user, from the ranks of the targets."""

from collections.abc import Sequence

import numpy as np

from interestlab.metrics.target_rank import TargetRanks


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
