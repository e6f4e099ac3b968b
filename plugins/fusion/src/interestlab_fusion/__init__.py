"""Fusion heads of interestlab: concatenation, and attention over the streams that are present."""
