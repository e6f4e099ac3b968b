"""Dynamics of interestlab: linear filters, recurrences, self-attention, continuous time, and several interests per user."""
