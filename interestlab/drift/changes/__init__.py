"""Find when a user's interests changed: at most one change, several changes, or changes as sessions arrive."""

from interestlab.drift.changes.labels import find_ends, label_sessions
from interestlab.drift.changes.offline import find_offline, pelt_segments
from interestlab.drift.changes.online import OnlineDetector, calibrate_delta, find_online
from interestlab.drift.changes.scan import MARGIN, MINIMUM, ScanResult, scan_users

__all__ = [
    "MARGIN",
    "MINIMUM",
    "OnlineDetector",
    "ScanResult",
    "calibrate_delta",
    "find_ends",
    "find_offline",
    "find_online",
    "label_sessions",
    "pelt_segments",
    "scan_users",
]
