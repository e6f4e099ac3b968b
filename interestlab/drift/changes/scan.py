r"""Test for at most one change in each user's sessions by shuffling them, for all users at once.

With ``c_k`` sessions of interest ``k`` among ``n``, of them ``a_k`` among the first ``t`` and ``b_k = c_k - a_k`` after, the
split at ``t`` explains

.. math:: T(t) = \sum_k \frac{a_k^2}{t} + \frac{b_k^2}{n - t} - \frac{c_k^2}{n}
               = \frac{t (n - t)}{n} \sum_k \left(\frac{b_k}{n - t} - \frac{a_k}{t}\right)^2

of the sum of squares of the indicators, the gain of the kernel change-point method whose kernel says whether two labels are
equal (Arlot, Celisse and Harchaoui 2019, "A kernel multiple change-point algorithm via model selection"; Harchaoui and
Cappé 2007). Its mean under shuffling is the same at every ``t``. The statistic is ``T = max_t T(t)`` over
``margin <= t <= n - margin``.

The change is placed where two multinomials are likeliest, at the largest

.. math:: G(t) = 2 \sum_k [h(a_k) + h(b_k) - h(c_k)] - 2 [h(t) + h(n - t) - h(n)], \qquad h(x) = x \log x.

Where one interest moves to another, T finds more changes than G, which spends its power on rare interests, and G places them
better. ``benchmarks/drift`` measures how many changes are found, and how precisely.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from interestlab.errors import DataError

MARGIN = 5
"""Smallest number of sessions on each side of a change."""

MINIMUM = 20
"""Smallest number of sessions that are tested: with fewer, even a move of the main interest is often missed."""

BLOCK = 1_000_000
"""Number of shuffled sessions in memory at once."""

TIE = 1e-9
"""Statistics nearer than this are equal: the same splits may be summed in another order."""


@dataclass(frozen=True)
class ScanResult:
    """Result for each of ``U`` users; position -1 and NaN for users with fewer than :data:`MINIMUM` sessions.

    Attributes:
        position: ``[U]`` int64 the first session after the likeliest change, counted within the user, whether or not it is
            significant.
        statistic: ``[U]`` float64 ``T``.
        p: ``[U]`` float64 permutation p-value.
        threshold: ``[U]`` float64 value that ``T`` must exceed for ``p <= level``.
    """

    position: np.ndarray
    statistic: np.ndarray
    p: np.ndarray
    threshold: np.ndarray


def scan_users(
    offsets: np.ndarray,
    labels: np.ndarray,
    permutations: int = 199,
    level: float = 0.05,
    seed: int = 0,
    margin: int = MARGIN,
) -> ScanResult:
    """Find the likeliest change of each user, and how often shuffled sessions give one as large: ``p = (1 + #) / (1 + R)``.

    Shuffling keeps how often each interest occurs, so the null distribution depends on these counts alone. Users of equal
    counts share its sample, which is drawn from a stream of the seed and the counts: a user's numbers depend on no other user
    and on no name of an interest. Each p-value is valid; those of users of equal counts are positively dependent, as with any
    shared reference sample, and Benjamini and Hochberg's procedure stays valid (Bates et al. 2023, "Testing for outliers with
    conformal p-values").

    Cost: ``R n log n`` for each distinct set of counts, however many interests there are.

    Args:
        offsets: ``[U + 1]`` where each user's sessions begin.
        labels: ``[N]`` interest of each session, not negative.
        permutations: ``R``.
        level: significance level of the threshold.
        seed: random seed of the permutations.
        margin: smallest number of sessions on each side.

    Returns:
        Position, statistic, p-value and threshold of each user.

    Raises:
        DataError: no p-value can be as small as ``level``, or the margin is too large.
    """
    rank = int(level * (1 + permutations) + TIE)
    if rank < 1:
        raise DataError(
            f"{permutations} permutations give no p-value of {level} or less; take at least {int(np.ceil(1 / level)) - 1}."
        )
    if not 1 <= margin <= MINIMUM // 2:
        raise DataError(
            f"margin is {margin}; take 1 to {MINIMUM // 2}, half of the smallest number of sessions that are tested."
        )
    sizes = np.diff(offsets)
    nan = np.full((3, len(sizes)), np.nan)
    out = ScanResult(np.full(len(sizes), -1), nan[0], nan[1], nan[2])
    for n in np.unique(sizes[sizes >= MINIMUM]).tolist():
        users = np.flatnonzero(sizes == n)
        shapes = np.empty((len(users), n), np.int32)
        for here in blocks(len(users), n):
            order, nth, count = occurrences(labels[offsets[users[here], None] + np.arange(n)])
            out.statistic[users[here]] = gain(order, nth, count, margin).max(1)
            out.position[users[here]] = likelihood(order, nth, count, margin).argmax(1) + margin
            shapes[here] = np.sort(count, 1)
        shapes, shape = np.unique(shapes, axis=0, return_inverse=True)
        by_shape = np.argsort(shape, kind="stable")
        bounds = np.searchsorted(shape[by_shape], np.arange(len(shapes) + 1))
        shuffles = np.random.default_rng([seed, n]).permuted(np.tile(np.arange(n, dtype=np.int32), (permutations, 1)), axis=1)
        for here in blocks(len(shapes), n * permutations):
            null = np.sort(permuted_statistics(shapes[here], shuffles, seed, margin), 1)
            for some in blocks(int(bounds[here.stop] - bounds[here.start]), permutations):
                chosen = by_shape[bounds[here.start] :][some]
                at = shape[chosen] - here.start
                index = users[chosen]
                larger = (null[at] >= out.statistic[index, None] - TIE).sum(1)
                out.p[index] = (1 + larger) / (1 + permutations)
                out.threshold[index] = null[at, permutations - rank]
    return out


def blocks(count: int, size: int) -> Iterator[slice]:
    """Divide a range into slices that fit into :data:`BLOCK`.

    Args:
        count: number of elements.
        size: numbers per element.

    Returns:
        Slices of ``range(count)``.
    """
    step = max(1, BLOCK // size)
    return (slice(first, min(count, first + step)) for first in range(0, count, step))


def occurrences(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort the sessions of each row by label: position, rank among the sessions of its label, and number of these.

    Args:
        labels: ``[B, n]``.

    Returns:
        Three ``[B, n]`` int32 arrays, of which the first holds indices into the row.
    """
    order = np.argsort(labels, axis=1, kind="stable")
    ranked = np.take_along_axis(labels, order, 1)
    index = np.arange(labels.shape[1])
    begins = np.ones(labels.shape, bool)
    begins[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    first = np.maximum.accumulate(np.where(begins, index, 0), axis=1)
    ends = np.ones(labels.shape, bool)
    ends[:, :-1] = begins[:, 1:]
    last = np.minimum.accumulate(np.where(ends, index, labels.shape[1])[:, ::-1], axis=1)[:, ::-1]
    return order.astype(np.int32), (index - first + 1).astype(np.int32), (last - first + 1).astype(np.int32)


def permuted_statistics(shapes: np.ndarray, shuffles: np.ndarray, seed: int, margin: int) -> np.ndarray:
    """Compute the statistic of shuffled sessions.

    The ``j``-th occurrence of a label adds the same to the sums at any position, so only the positions are sampled: each label
    gets some of them, sorted within the label. All shapes use the same permutations, each composed with one of its own, so
    that the samples of two shapes are independent.

    Args:
        shapes: ``[S, n]`` for each session how many have its label, ascending; sessions of a label are adjacent.
        shuffles: ``[R, n]`` permutations of the positions.
        seed: random seed of the permutations of the shapes.
        margin: least number of sessions on each side; see :func:`scan_users`.
    """
    n = shapes.shape[1]
    nth = np.empty_like(shapes)
    group = np.empty(shapes.shape, np.int32 if n < 2**15 else np.int64)
    left = np.zeros(len(shapes), shapes.dtype)
    current = np.zeros(len(shapes), shapes.dtype)
    for place in range(n):
        fresh = left == 0
        left = np.where(fresh, shapes[:, place], left)
        current += fresh
        nth[:, place] = shapes[:, place] - left + 1
        group[:, place] = current * n
        left -= 1
    own = np.stack([np.random.default_rng([seed, *counts]).permutation(n) for counts in shapes.tolist()])
    places = np.sort(group[:, None] + shuffles.T[own].swapaxes(1, 2), axis=2) - group[:, None]
    each = np.repeat(nth, len(shuffles), 0), np.repeat(shapes, len(shuffles), 0)
    return gain(places.reshape(-1, n), *each, margin).max(1).reshape(len(shapes), -1)


def gain(order: np.ndarray, nth: np.ndarray, count: np.ndarray, margin: int) -> np.ndarray:
    """Compute ``T(t)`` of sessions sorted by :func:`occurrences`.

    ``sum_k a_k^2`` grows by ``2 j - 1`` with the ``j``-th occurrence of a label, and ``sum_k a_k c_k`` by ``c_k``.

    Args:
        order: ``[B, n]`` position of each session.
        nth: ``[B, n]`` its rank among the sessions of its label.
        count: ``[B, n]`` number of sessions of its label.
        margin: smallest number of sessions on each side.

    Returns:
        ``[B, n - 2 margin + 1]`` values.
    """
    n = order.shape[1]
    squares = running(order, 2 * nth - 1, margin)
    products = running(order, count, margin)
    t = np.arange(margin, n - margin + 1)
    whole = count.sum(axis=1, dtype=np.int64, keepdims=True)
    return squares / t + (whole + squares - 2 * products) / (n - t) - whole / n


def likelihood(order: np.ndarray, nth: np.ndarray, count: np.ndarray, margin: int) -> np.ndarray:
    """Compute ``G(t) / 2`` up to a constant per row, rounded so that equal values are equal.

    Args:
        order: ``[B, n]`` position of each session.
        nth: ``[B, n]`` its rank among the sessions of its label.
        count: ``[B, n]`` number of sessions of its label.
        margin: smallest number of sessions on each side.

    Returns:
        ``[B, n - 2 margin + 1]`` values.
    """
    n = order.shape[1]
    h = np.arange(n + 1) * np.log(np.maximum(1, np.arange(n + 1)))
    step = h[nth] - h[nth - 1] + h[count - nth] - h[count - nth + 1]
    t = np.arange(margin, n - margin + 1)
    return (running(order, step, margin) - h[t] - h[n - t]).round(8)


def running(order: np.ndarray, step: np.ndarray, margin: int) -> np.ndarray:
    """Sum the increments of all sessions before ``t``.

    Args:
        order: ``[B, n]`` position of each session.
        step: ``[B, n]`` its increment.
        margin: smallest number of sessions on each side.

    Returns:
        ``[B, n - 2 margin + 1]`` sums.
    """
    n = order.shape[1]
    timely = np.empty(order.shape, step.dtype)
    np.put_along_axis(timely, order, step, axis=1)
    total = np.cumsum(timely, axis=1, dtype=step.dtype if step.dtype.kind == "f" or n < 2**15 else np.int64)
    return total[:, margin - 1 : n - margin]
