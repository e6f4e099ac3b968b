"""Sweeps: many runs of ``interestlab fit`` from one file, and the comparison of their results."""
