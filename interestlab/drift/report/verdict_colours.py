"""The colour of each verdict."""

from interestlab.drift.verdicts import BOTH, EVOLVED, MIGRATED, NO_CHANGE
from interestlab.reporting.colours import BLUE, PURPLE, RED

VERDICT_COLOURS = {MIGRATED: RED, BOTH: PURPLE, EVOLVED: BLUE, NO_CHANGE: "#8a8a8a"}
