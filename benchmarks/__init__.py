"""Benchmarks of interestlab. Each is a package with a command of its own: ``python -m benchmarks.NAME --help``."""
