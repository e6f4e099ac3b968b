"""What may be said of a user, in the words of the tables and the page."""

MIGRATED, EVOLVED, BOTH = "migrated", "evolved", "migrated and evolved"
NO_CHANGE, INSUFFICIENT_EVIDENCE = "no change seen", "not enough evidence"

CHANGED = (MIGRATED, BOTH, EVOLVED)
"""Verdicts that say that something changed."""

VERDICTS = (*CHANGED, NO_CHANGE, INSUFFICIENT_EVIDENCE)
"""All, in the order in which the page tells them."""
