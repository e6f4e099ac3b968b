"""Exact ranking over the full catalogue, and the metrics computed from it."""

from interestlab.metrics.groups import TARGET_GROUPS
from interestlab.metrics.ranking import target_ranks, target_ranks_of_scores, top_k_items
from interestlab.metrics.summary import MetricSummary, per_user_metrics, summarise
from interestlab.metrics.target_rank import TargetRankMetric, TargetRanks

__all__ = [
    "TARGET_GROUPS",
    "MetricSummary",
    "TargetRankMetric",
    "TargetRanks",
    "per_user_metrics",
    "summarise",
    "target_ranks",
    "target_ranks_of_scores",
    "top_k_items",
]
