"""Dynamics of interestlab: a moving average, momentum, and self-attention."""
