"""Measure how well trained models forecast interests, with baselines and negative controls."""

from interestlab.drift.forecast.table import forecast
from interestlab.drift.forecast.verdict import verdict

__all__ = ["forecast", "verdict"]
