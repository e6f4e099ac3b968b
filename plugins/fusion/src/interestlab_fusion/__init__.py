"""Fusion heads of interestlab: ways to join the streams of one thing, whichever of them are present."""
