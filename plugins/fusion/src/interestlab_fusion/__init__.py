"""Fusion heads of interestlab."""
