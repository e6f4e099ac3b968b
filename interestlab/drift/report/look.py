"""The colour of each verdict."""

from interestlab.drift.verdicts import BOTH, EVOLVED, MIGRATED, STILL
from interestlab.reporting.colours import BLUE, PURPLE, RED

VERDICT_COLOURS = {MIGRATED: RED, BOTH: PURPLE, EVOLVED: BLUE, STILL: "#8a8a8a"}
