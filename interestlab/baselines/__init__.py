"""Recommenders without training: popularity, co-occurrence counts, and a linear model in closed form."""

from interestlab.baselines.baseline import Baseline
from interestlab.baselines.cooccurrence import Cooccurrence, CooccurrenceSettings
from interestlab.baselines.ease import Ease, EaseSettings
from interestlab.baselines.popularity import Popularity

__all__ = ["Baseline", "Cooccurrence", "CooccurrenceSettings", "Ease", "EaseSettings", "Popularity"]
