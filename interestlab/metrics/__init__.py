"""Exact full ranking and what is said of it."""

from interestlab.metrics.ranking import target_ranks, top_k_items
from interestlab.metrics.summary import bootstrap, per_user
from interestlab.metrics.target_rank import TargetRankMetric, TargetRanks

__all__ = ["TargetRankMetric", "TargetRanks", "bootstrap", "per_user", "target_ranks", "top_k_items"]
