"""The map: where interests lie, and the paths of users between them, in two dimensions."""

import numpy as np
import polars as pl

from interestlab.drift.interests import Interests
from interestlab.drift.population import window_of
from interestlab.drift.session_log import SessionLog
from interestlab.drift.verdicts import INSUFFICIENT_EVIDENCE, NO_CHANGE


def landscape(log: SessionLog, interests: Interests, edges: np.ndarray, people: pl.DataFrame, most: int) -> pl.DataFrame:
    """The interests, and the mean vector of each window of some users, on the two axes along which the interests differ most.

    Items whose vector is all zeros (nothing is known of where they lie) are in no mean.

    Args:
        log: of events that have an interest.
        interests: which.
        edges: ``[W + 1]`` calendar windows, unix seconds.
        people: the table of users; those of whom a change is told come first, surest first.
        most: users at most, times 5.

    Returns:
        ``kind`` (``interest`` or ``user``), ``name``, ``window`` (-1 of an interest), ``x``, ``y``.
    """
    centroids = interests.centroids
    middle = centroids.mean(0)
    axes = np.linalg.svd(centroids - middle, full_matrices=False)[2][:2].T
    axes = axes * np.where(
        axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])] < 0, -1, 1
    )  # a sign that does not depend on chance
    chosen = (
        people.with_row_index()
        .filter(pl.col("verdict") != INSUFFICIENT_EVIDENCE)
        .sort(pl.col("verdict") == NO_CHANGE, pl.min_horizontal("q_migration", "q_evolution"), "index")["index"]
        .head(5 * most)
        .to_numpy()
    )
    some = log.only(np.isin(log.user, chosen) & (np.linalg.norm(interests.vectors, axis=1) > 0)[log.item])
    windows = len(edges) - 1
    keys, place, many = np.unique(some.user * windows + window_of(some.time, edges), return_inverse=True, return_counts=True)
    sums = np.zeros((len(keys), centroids.shape[1]))
    np.add.at(sums, place, interests.vectors[some.item])
    points = np.vstack([centroids, sums / many[:, None]]) - middle
    at = np.zeros((len(points), 2))
    at[:, : axes.shape[1]] = points @ axes
    names = [*interests.names, *log.users.gather((keys // windows).tolist())]
    return pl.DataFrame(
        {
            "kind": ["interest"] * len(interests) + ["user"] * len(keys),
            "name": names,
            "window": np.r_[np.full(len(interests), -1), keys % windows],
            "x": at[:, 0],
            "y": at[:, 1],
        }
    )
