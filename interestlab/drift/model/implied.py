"""Shares and centroids of the catalogue's interests that a model's user state implies, and how the last events changed them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interestlab.drift.decomposition import decompose
from interestlab.drift.interests import Interests
from interestlab.drift.model.trajectory import ModelView

CELLS = 4_000_000
"""Number of scores in memory at once."""


class Implied(NamedTuple):
    """Interests as a model sees them.

    Attributes:
        shares: ``[N, K]`` float64, each row adds up to 1.
        centroids: ``[N, K, D]`` float64; zeros for an interest without items.
    """

    shares: np.ndarray
    centroids: np.ndarray


def implied_shares(z: Tensor, catalogue: Tensor, of: np.ndarray, count: int, scales: Sequence[float]) -> np.ndarray:
    r"""Compute the share of each interest that a model predicts, at several scales of the logits.

    .. math:: q_k = \sum_{i \in k} \mathrm{softmax}_i(s \cdot \mathrm{score}(z, i))

    over the items that have an interest. The score is the product of ``z`` and the item. For a user with several interest
    vectors it is the maximum over them, as in an evaluation. Scores are computed for :data:`CELLS` pairs of user and item at a
    time.

    Args:
        z: ``[N, D]``, or ``[N, K', D]``, normalised by :meth:`interestlab.model.frozen.FrozenModel.normalize`.
        catalogue: ``[I, D]`` normalised items.
        of: ``[I]`` interest of each item; -1 where it has none.
        count: K.
        scales: S factors of the scores, see :func:`interestlab.drift.model.scale.logit_scale`.

    Returns:
        ``[S, N, K]`` shares.
    """
    out = np.zeros((len(scales), len(z), count))
    order, bounds = grouped(of, count)
    for at, scores in tiles(z, catalogue[order]):
        for place, factor in enumerate(scales):
            out[place, at] = pooled(scores * factor, bounds).numpy()
    return out


def implied(z: Tensor, catalogue: Tensor, of: np.ndarray, count: int, vectors: np.ndarray, factor: float = 1.0) -> Implied:
    r"""Compute the implied shares, and the centroid of each interest.

    .. math:: \mu_k = \sum_{i \in k} \mathrm{softmax}_{i \in k}(s \cdot \mathrm{score}(z, i))\, v_i

    The centroids have ``N x K x D`` numbers, so pass a part of the users at a time.

    Args:
        z, catalogue, of, count: as for :func:`implied_shares`.
        vectors: ``[I, D]`` vector of each item.
        factor: factor of the scores, see :func:`interestlab.drift.model.scale.logit_scale`.
    """
    order, bounds = grouped(of, count)
    sorted_vectors = torch.from_numpy(np.asarray(vectors, np.float64)[order])
    shares, centroids = np.zeros((len(z), count)), np.zeros((len(z), count, sorted_vectors.shape[1]))
    for at, scores in tiles(z, catalogue[order]):
        shares[at] = pooled(scores * factor, bounds).numpy()
        for k, (first, last) in enumerate(pairwise(bounds)):
            centroids[at, k] = ((scores[:, first:last] * factor).softmax(1).double() @ sorted_vectors[first:last]).numpy()
    return Implied(shares, centroids)


def expected(z: Tensor, catalogue: Tensor, of: np.ndarray, count: int, vectors: np.ndarray, factor: float) -> np.ndarray:
    r"""Compute the mean vector that the model expects, :math:`\sum_k q_k\mu_k`, without computing the centroids.

    Args:
        z, catalogue, of, count, vectors, factor: as for :func:`implied`.

    Returns:
        ``[N, D]`` float32.
    """
    order, _ = grouped(of, count)
    sorted_vectors = torch.from_numpy(np.asarray(vectors, np.float32)[order])
    out = np.zeros((len(z), sorted_vectors.shape[1]), np.float32)
    for at, scores in tiles(z, catalogue[order]):
        out[at] = ((scores * factor).softmax(1) @ sorted_vectors).numpy()
    return out


def grouped(of: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort the items that have an interest by interest; return them, and ``[K + 1]`` where the items of each interest begin."""
    order = np.argsort(of, kind="stable")
    order = order[of[order] >= 0]
    return order, np.searchsorted(of[order], np.arange(count + 1))


def tiles(z: Tensor, table: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of the users, each with its scores ``[n, I]`` float32."""
    step = max(1, CELLS // max(1, len(table) * (z.shape[1] if z.ndim == 3 else 1)))
    z, table = z.float(), table.float()
    for first in range(0, len(z), step):
        scores = z[first : first + step] @ table.T
        yield slice(first, first + len(scores)), scores.amax(1) if scores.ndim == 3 else scores


def pooled(logits: Tensor, bounds: np.ndarray) -> Tensor:
    """Return ``[n, K]`` float64 softmax of the logits ``[n, I]``, summed within each interest."""
    return torch.stack([logits[:, first:last].logsumexp(1) for first, last in pairwise(bounds)], 1).double().softmax(1)


class Changed(NamedTuple):
    """How the last n events of each user changed the shares that a model implies.

    Attributes:
        users: ``[U]`` int64 users with more than n events.
        before: ``[U, K]`` implied shares without these events, at the time of the last one.
        after: ``[U, K]`` implied shares with them.
        migration: ``[U, D]`` float32 part of the change of the expected vector that is due to shares.
        evolution: ``[U, D]`` float32 part that is due to movement within interests.
    """

    users: np.ndarray
    before: np.ndarray
    after: np.ndarray
    migration: np.ndarray
    evolution: np.ndarray


def last_events_changed(view: ModelView, interests: Interests, users: np.ndarray, events: int) -> Changed:
    r"""Compare the state after the last n events with the state before them, advanced to the same moment.

    The expected vector :math:`\sum_k q_k\mu_k` changes by :math:`M + E`
    (:func:`interestlab.drift.decomposition.decompose`).

    Args:
        view: the model.
        interests: interest of each item.
        users: user indices; users with at most ``events`` events are left out.
        events: n.

    Returns:
        Implied shares before and after, and the two parts of the change.
    """
    log, count, factor = view.data.log, len(interests), view.logit_scale
    ends = np.asarray(log.offsets)[1:]
    users = users[np.diff(log.offsets)[users] > events]
    width = interests.vectors.shape[1]
    before, after = np.zeros((2, len(users), count))
    migration, evolution = np.zeros((2, len(users), width), np.float32)
    step = max(1, CELLS // (count * width))
    for first in range(0, len(users), step):
        at = slice(first, first + step)
        last = ends[users[at]] - 1
        now, then = (
            implied(view.frozen.normalize(z), view.catalogue, interests.of, count, interests.vectors, factor)
            for z in (view.states(last), view.states(last - events, at=log.time[last]))
        )
        before[at], after[at] = then.shares, now.shares
        migration[at], evolution[at] = decompose(then.shares, then.centroids, now.shares, now.centroids)
    return Changed(users, before, after, migration, evolution)
