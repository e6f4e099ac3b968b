"""Exact ranking over the full catalogue, and the metrics computed from it."""

from interestlab.metrics.ranking import target_ranks, top_k_items
from interestlab.metrics.summary import per_user_metrics
from interestlab.metrics.target_rank import TargetRankMetric, TargetRanks

__all__ = ["TargetRankMetric", "TargetRanks", "per_user_metrics", "target_ranks", "top_k_items"]
