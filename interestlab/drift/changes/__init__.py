"""When a user's interests changed: one change, several, or as they come in."""

from interestlab.drift.changes.labels import session_labels, sides
from interestlab.drift.changes.offline import offline, segments
from interestlab.drift.changes.online import Online, calibrate, online
from interestlab.drift.changes.scan import MARGIN, MINIMUM, Scan, scan

__all__ = [
    "MARGIN",
    "MINIMUM",
    "Online",
    "Scan",
    "calibrate",
    "offline",
    "online",
    "scan",
    "segments",
    "session_labels",
    "sides",
]
