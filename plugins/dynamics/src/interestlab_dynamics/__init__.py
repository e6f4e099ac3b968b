"""Dynamics of interestlab."""
