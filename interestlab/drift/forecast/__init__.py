"""How well trained models foresee where interests go, beside baselines and negative controls."""

from interestlab.drift.forecast.table import forecast
from interestlab.drift.forecast.verdict import verdict

__all__ = ["forecast", "verdict"]
