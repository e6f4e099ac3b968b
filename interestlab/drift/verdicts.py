"""The verdicts about a user, as the tables and the page spell them."""

MIGRATED, EVOLVED, BOTH = "migrated", "evolved", "migrated and evolved"
NO_CHANGE, INSUFFICIENT_EVIDENCE = "no change seen", "not enough evidence"

CHANGED = (MIGRATED, BOTH, EVOLVED)
"""Verdicts of users whose interests changed."""

VERDICTS = (*CHANGED, NO_CHANGE, INSUFFICIENT_EVIDENCE)
"""All verdicts, in the order of the page."""
