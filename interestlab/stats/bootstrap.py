"""Bootstrap over users: intervals of a mean, paired differences of two models, and anything computed from cases of users."""

from collections.abc import Iterator

import numpy as np

TILE = 4_000_000
"""Number of resampled counts in memory at once."""

AVERAGE_PRECISION_DRAWS = 200
"""Most replicates of an average precision: each of them takes a pass over all cases."""


def bootstrap_mean_interval(values: np.ndarray, level: float = 0.95, draws: int = 2000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of a mean over users.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    Args:
        values: ``[users]`` one value per user.
        level: coverage of the interval.
        draws: bootstrap replicates.
        seed: seed of the random draws.

    Returns:
        Lower and upper end of the interval.
    """
    distinct, counts = np.unique(values, return_counts=True)
    means = _resampled_means(distinct, counts, draws, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_bootstrap(
    difference: np.ndarray, level: float = 0.95, draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Percentile bootstrap of the mean difference of two models over the same users, with a two-sided p-value.

    ``p = 2 (1 + min(#{d* <= 0}, #{d* >= 0})) / (draws + 1)``, at most 1. Up to the added 1 this is the smallest ``1 - level``
    at which the interval excludes 0, so the interval and the p-value agree. The added 1 counts the observed sample among the
    replicates, so no p-value is 0 (Davison and Hinkley, Bootstrap Methods and their Application, 1997, chapter 4; for the
    interval Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).

    Args:
        difference: ``[users]`` metric of one model minus that of the other, per user.
        level: coverage of the interval.
        draws: bootstrap replicates.
        seed: seed of the random draws.

    Returns:
        Lower and upper end of the interval, and the p-value.
    """
    # Summing in another order changes the last bits; rounding keeps that from counting as a difference.
    distinct, counts = np.unique(np.round(difference, 12), return_counts=True)
    means = np.round(_resampled_means(distinct, counts, draws, seed), 12)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return float(low), float(high), min(1.0, 2 * (1 + tail) / (draws + 1))


def _resampled_means(distinct: np.ndarray, counts: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """``[draws]`` means of users resampled with replacement.

    Users of equal value are drawn together, as one multinomial count, so the cost grows with the number of distinct values
    and not with the number of users.
    """
    rng, users, step = np.random.default_rng(seed), int(counts.sum()), max(1, TILE // len(distinct))
    return np.concatenate(
        [
            rng.multinomial(users, counts / users, size=min(step, draws - first)) @ distinct / users
            for first in range(0, draws, step)
        ]
    )


class ClusterBootstrap:
    """Bootstrap that resamples users with all of their cases, the same users for every statistic.

    Cases of one user depend on each other, so users are resampled, not cases (Davison and Hinkley, Bootstrap Methods and
    their Application, 1997, section 3.8).

    Args:
        users: ``[n]`` user of each case.
        draws: bootstrap replicates.
        seed: seed of the random draws.
    """

    def __init__(self, users: np.ndarray, draws: int, seed: int) -> None:
        names, self.user_index = np.unique(users, return_inverse=True)
        self.num_users, self.draws, self.seed = len(names), draws, seed

    def weights(self, draws: int) -> Iterator[np.ndarray]:
        """Yield how often each user was drawn.

        Args:
            draws: bootstrap replicates.

        Yields:
            ``[d, users]`` in blocks: first one row of ones, the observed sample, then ``draws`` resampled rows.
        """
        yield np.ones((1, self.num_users))
        rng, step = np.random.default_rng(self.seed), max(1, TILE // self.num_users)
        for first in range(0, draws, step):
            rows = min(step, draws - first)
            drawn = rng.integers(self.num_users, size=(rows, self.num_users)) + np.arange(rows)[:, None] * self.num_users
            yield np.bincount(drawn.ravel(), minlength=rows * self.num_users).reshape(rows, self.num_users).astype(float)

    def sums_by_user(self, values: np.ndarray) -> np.ndarray:
        """Sum the cases of each user.

        Args:
            values: ``[n, C]`` columns of the cases.

        Returns:
            ``[users, C]``.
        """
        return np.stack([np.bincount(self.user_index, column, self.num_users) for column in values.T], 1)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Average over users.

        Args:
            values: ``[users, C]``, as from :meth:`sums_by_user`.

        Returns:
            ``[1 + draws, C]``: the observed mean first, then the replicates.
        """
        return np.concatenate([weights @ values / self.num_users for weights in self.weights(self.draws)])

    def average_precision(self, labels: np.ndarray, scores: np.ndarray, included: np.ndarray) -> np.ndarray:
        """Average precision of a score, as :func:`sklearn.metrics.average_precision_score` defines it.

        All replicates are computed from one sort of the cases.

        Args:
            labels: ``[n]`` whether a case is positive.
            scores: ``[n]`` a higher score predicts a positive.
            included: ``[n]`` which cases count.

        Returns:
            ``[1 + d]`` with d at most :data:`AVERAGE_PRECISION_DRAWS`, the observed value first; NaN for a replicate whose
            cases all have one label.
        """
        order = np.flatnonzero(included)[np.argsort(-scores[included], kind="stable")]
        user, label = self.user_index[order], labels[order]
        # No threshold separates cases of equal score.
        ends = np.flatnonzero(np.r_[np.diff(scores[order]) != 0, len(order) > 0])
        values = []
        for weights in self.weights(min(self.draws, AVERAGE_PRECISION_DRAWS)):
            drawn = weights[:, user]
            positives, retrieved = (drawn * label).cumsum(1)[:, ends], drawn.cumsum(1)[:, ends]
            both = (positives[:, -1] > 0) & (positives[:, -1] < retrieved[:, -1]) if len(ends) else np.zeros(len(drawn), bool)
            gained = np.diff(positives, axis=1, prepend=0) * positives / np.maximum(retrieved, 1)
            values.append(np.where(both, gained.sum(1) / np.where(both, positives.max(1, initial=1), 1), np.nan))
        return np.concatenate(values)


def percentile_interval(replicates: np.ndarray) -> tuple[float, float, float]:
    """Return the observed value and the 95% percentile interval of its bootstrap replicates.

    Args:
        replicates: ``[1 + draws]``, the observed value first. Replicates that are not finite are left out.

    Returns:
        Observed value, lower and upper end; NaN for the ends when no replicate is finite.
    """
    known = replicates[1:][np.isfinite(replicates[1:])]
    low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
    return float(replicates[0]), float(low), float(high)
