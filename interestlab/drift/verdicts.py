"""What may be said of a user, in the words of the tables and the page."""

MIGRATED, EVOLVED, BOTH = "migrated", "evolved", "migrated and evolved"
STILL, UNKNOWN = "no change seen", "not enough evidence"

CHANGED = (MIGRATED, BOTH, EVOLVED)
"""Verdicts that say that something changed."""

VERDICTS = (*CHANGED, STILL, UNKNOWN)
"""All, in the order in which the page tells them."""
