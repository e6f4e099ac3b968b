"""What an analysis of drift may be told."""

from dataclasses import dataclass
from typing import Literal

from interestlab.drift.session_log import DEFAULT_SESSION_GAP
from interestlab.errors import DataError
from interestlab.utils.argument_checks import require_at_least


@dataclass(frozen=True)
class Settings:
    """How interests are made, and what counts as a change.

    Args:
        interests: ``taxonomy``, a column of the items; ``clusters``, of their vectors; ``auto``: the taxonomy, where it tells.
        column: the taxonomy's column of the items.
        level: how many levels of its path make an interest; the whole path is the leaf.
        most: interests of a taxonomy at most; the smallest are one.
        clusters: how many clusters.
        leaves: leaves of each cluster.
        session_gap: seconds without an event that end a session. Sessions are what is permuted.
        at: date (``2014-01-01``) that parts before from after for everyone; by default the middle of each user's own sessions.
        windows: calendar windows of equal length.
        permutations: of each test.
        significance_level: share of the changes called that may be false (Benjamini & Hochberg), and the level of single tests.
        shift: share of the attention whose move a user's history must be able to show, at power .8, to be answered.
        flow_users: users, drawn by chance, whose flows are computed.
        segments: how many segments of users.
        examples: users whose history the report shows.
        seed: of every draw.
    """

    interests: Literal["auto", "taxonomy", "clusters"] = "auto"
    column: str = "category"
    level: int = 1
    most: int = 50
    clusters: int = 20
    leaves: int = 5
    session_gap: int = DEFAULT_SESSION_GAP
    at: str | None = None
    windows: int = 6
    permutations: int = 199
    significance_level: float = 0.05
    shift: float = 0.5
    flow_users: int = 500
    segments: int = 6
    examples: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        least = {1: ("level", "leaves", "segments", "flow_users"), 2: ("most", "clusters", "windows"), 19: ("permutations",)}
        for bound, names in {0: ("session_gap", "examples", "seed"), **least}.items():
            try:
                require_at_least(bound, **{name: getattr(self, name) for name in names})
            except ValueError as err:
                raise DataError(f"--drift.{err}.") from err
        for name in ("significance_level", "shift"):
            if not 0 < getattr(self, name) < 1:
                raise DataError(f"--drift.{name} must lie between 0 and 1, not {getattr(self, name)}.")
