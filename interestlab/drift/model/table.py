"""Measure each user's drift on the trajectory of a trained model."""

import numpy as np
import polars as pl

from interestlab.drift.decomposition import decompose
from interestlab.drift.interests import Interests
from interestlab.drift.model.implied import implied, last_events_changed
from interestlab.drift.model.velocity import velocity
from interestlab.drift.shares import InterestShares
from interestlab.inference.trajectory import ModelView
from interestlab.stats.divergence import jensen_shannon, total_variation

LAST = 5
"""Number of last events whose effect is measured."""

CELLS = 4_000_000
"""Number of centroid elements in memory at once."""


def model_view(view: ModelView, shares: InterestShares, users: np.ndarray) -> pl.DataFrame:
    """Compare the shares that a model implies at the end of a user's first window and at the end of the second.

    These estimates have no p-value: a user state changes with every event. Compare them with the table of users, which is
    computed from counts of events.

    Args:
        view: the model.
        shares: interest shares of all users in two windows.
        users: ``[n]`` indices of the users to include.

    Returns:
        ``user_id``; ``tv``, ``js``, ``migration`` (length of M), ``evolution`` (length of E), ``source``, ``destination`` of
        the implied shares; ``velocity`` (median distance per event) and ``velocity_per_day`` (per day); ``last_tv``,
        ``last_source``, ``last_destination``: the change due to the last :data:`LAST` events, null for users without earlier
        events.
    """
    log, interests = shares.log, shares.interests
    begins = log.session_starts[log.session_offsets[users + 1] - shares.sessions_after[users]]
    before, after = log.event_index[begins - 1], log.event_index[log.offsets[users + 1] - 1]
    parts = []
    step = max(1, CELLS // (len(interests) * interests.vectors.shape[1]))
    for first in range(0, len(users), step):
        at = slice(first, first + step)
        parts.append(_moved(view, interests, before[at], after[at]))
    table = pl.concat(parts) if parts else _moved(view, interests, before, after)
    speed, daily = _speeds(view, users)
    changed = last_events_changed(view, interests, users, LAST)
    last = pl.DataFrame(
        {
            "user_id": log.users.gather(changed.users.tolist()),
            "last_tv": total_variation(changed.before, changed.after),
            **_ends(interests, changed.before, changed.after, "last_"),
        }
    )
    out = pl.DataFrame({"user_id": log.users.gather(users.tolist())}).hstack(table)
    return out.with_columns(velocity=speed, velocity_per_day=daily).join(last, on="user_id", how="left", maintain_order="left")


def _moved(view: ModelView, interests: Interests, before: np.ndarray, after: np.ndarray) -> pl.DataFrame:
    factor = view.logit_scale
    then, now = (
        implied(
            view.frozen.normalize(view.states(rows)),
            view.catalogue,
            interests.item_interest,
            len(interests),
            interests.vectors,
            factor,
        )
        for rows in (before, after)
    )
    moved = decompose(then.shares, then.centroids, now.shares, now.centroids)
    return pl.DataFrame(
        {
            "tv": total_variation(then.shares, now.shares),
            "js": jensen_shannon(then.shares, now.shares),
            "migration": np.linalg.norm(moved.migration, axis=1),
            "evolution": np.linalg.norm(moved.evolution, axis=1),
            **_ends(interests, then.shares, now.shares, ""),
        }
    )


def _ends(interests: Interests, before: np.ndarray, after: np.ndarray, prefix: str) -> dict[str, pl.Series]:
    names = pl.Series(interests.names, dtype=pl.String)
    change = after - before
    ends = {"source": change.argmin(1), "destination": change.argmax(1)}
    return {f"{prefix}{end}": names.gather(index.tolist()) for end, index in ends.items()}


def _speeds(view: ModelView, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``[n]`` median distance that each user's interest moves, per event and per day."""
    parts = [pl.DataFrame(schema={"user": pl.Int64, "event": pl.Float64, "day": pl.Float64})]
    for stretch in view.trajectory(users):
        steps = velocity(view.frozen.normalize(stretch.z), stretch.users, view.data.log.time[stretch.rows])
        velocities = pl.DataFrame({"user": stretch.users, "event": steps.event, "day": steps.day})
        parts.append(velocities.fill_nan(None).group_by("user").median())
    whose = pl.DataFrame({"user": users}, {"user": pl.Int64})
    both = whose.join(pl.concat(parts), on="user", how="left", maintain_order="left")
    return both["event"].to_numpy(), both["day"].to_numpy()
