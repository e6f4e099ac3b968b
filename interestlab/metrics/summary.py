"""Recall, NDCG and MRR at k from places, and their intervals."""

from collections.abc import Sequence

import numpy as np

from interestlab.metrics.target_rank import TargetRanks


def per_user(places: TargetRanks, ks: Sequence[int]) -> dict[str, np.ndarray]:
    """``recall@k``, ``ndcg@k`` and ``mrr@k`` of each user, for one target each.

    Where other items score the same as the target, the value is its mean over all orders of the tied items
    (McSherry and Najork, ECIR 2008): neither luck nor the order of the catalogue decides.

    Returns:
        metric name -> ``[users]`` float64.
    """
    better, equal = places.better.numpy(), places.equal.numpy()
    metrics = {}
    for k in ks:
        rank = np.arange(1, k + 1)
        for name, gain in {"recall": np.ones(k), "ndcg": 1 / np.log2(rank + 1), "mrr": 1 / rank}.items():
            total = np.concatenate([[0.0], np.cumsum(gain)])
            first, last = np.minimum(better, k), np.minimum(better + equal + 1, k)
            # One place needs no mean: the gain itself, free of the rounding of a difference of sums.
            alone = np.where(better < k, np.append(gain, 0.0)[first], 0.0)
            metrics[f"{name}@{k}"] = np.where(equal == 0, alone, (total[last] - total[first]) / (equal + 1))
    return metrics


def bootstrap(values: np.ndarray, level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over users.

    Users of equal value are drawn together, as a multinomial count: the cost does not grow with the number of users.
    """
    distinct, counts = np.unique(values, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(values), counts / len(values), size=draws)
    low, high = np.quantile(drawn @ distinct / len(values), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
