"""Fusion heads of interestlab: join several streams of one item or event into one vector."""
