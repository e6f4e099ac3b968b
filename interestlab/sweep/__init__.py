"""Sweeps: many runs of ``interestlab fit`` from one file, and what they say together."""
