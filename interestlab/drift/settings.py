"""Settings of a drift analysis."""

from dataclasses import dataclass
from typing import Literal

from interestlab.drift.session_log import DEFAULT_SESSION_GAP
from interestlab.errors import DataError
from interestlab.utils.argument_checks import require_at_least

MINIMUM = {
    "session_gap": 0,
    "example_users": 0,
    "seed": 0,
    "taxonomy_levels": 1,
    "leaves_per_cluster": 1,
    "segments": 1,
    "flow_users": 1,
    "max_interests": 2,
    "clusters": 2,
    "windows": 2,
    "permutations": 19,
}
"""Smallest value of each number: 19 permutations can just reach a p-value of .05."""


@dataclass(frozen=True)
class Settings:
    """How interests are defined, and which changes are significant.

    Args:
        interests: ``taxonomy``: values of a column of the items; ``clusters``: clusters of the items' vectors; ``auto``: the
            taxonomy if it covers most events, else clusters.
        column: column of the items that holds the taxonomy.
        taxonomy_levels: number of levels of the taxonomy's path that define an interest; the full path is the leaf.
        max_interests: largest number of interests of a taxonomy; the smallest are merged into ``other``.
        clusters: number of clusters.
        leaves_per_cluster: number of leaves that each cluster is divided into.
        session_gap: seconds without an event that end a session. The tests permute sessions.
        boundary: date (such as ``2014-01-01``) between the two windows of every user; by default each user's sessions are
            divided into two halves.
        windows: number of calendar windows of equal length.
        permutations: number of permutations of each test.
        significance_level: level of single tests, and the false discovery rate over all users (Benjamini and Hochberg).
        detectable_shift: share of a user's events that move to another interest; only users whose history would reveal such a
            move, with power .8, get a verdict.
        flow_users: number of randomly sampled users whose flows are computed.
        segments: number of segments of users.
        example_users: number of users whose history the report shows.
        seed: seed of all random numbers.

    Raises:
        DataError: a value is out of its range.
    """

    interests: Literal["auto", "taxonomy", "clusters"] = "auto"
    column: str = "category"
    taxonomy_levels: int = 1
    max_interests: int = 50
    clusters: int = 20
    leaves_per_cluster: int = 5
    session_gap: int = DEFAULT_SESSION_GAP
    boundary: str | None = None
    windows: int = 6
    permutations: int = 199
    significance_level: float = 0.05
    detectable_shift: float = 0.5
    flow_users: int = 500
    segments: int = 6
    example_users: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in MINIMUM.items():
            try:
                require_at_least(least, **{name: getattr(self, name)})
            except ValueError as err:
                raise DataError(f"--drift.{err}.") from err
        for name in ("significance_level", "detectable_shift"):
            if not 0 < getattr(self, name) < 1:
                raise DataError(f"--drift.{name} must lie between 0 and 1, not {getattr(self, name)}.")
