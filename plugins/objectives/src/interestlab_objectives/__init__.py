"""Objectives of interestlab."""
