"""Exact full ranking and what is said of it."""

from interestlab.metrics.places import PlaceMetric, Places
from interestlab.metrics.ranking import place, top
from interestlab.metrics.summary import bootstrap, per_user

__all__ = ["PlaceMetric", "Places", "bootstrap", "per_user", "place", "top"]
