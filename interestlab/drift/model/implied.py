"""The shares and centroids of the catalogue's interests that a model implies for a user, and how recent events changed them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from interestlab.drift.decomposition import decompose
from interestlab.drift.interests import Interests
from interestlab.inference.trajectory import ModelView

CELLS = 4_000_000
"""Largest number of scores in memory at once."""


class Implied(NamedTuple):
    """Interests as a model sees them.

    Attributes:
        shares: ``[N, K]`` float64, each row adds up to 1.
        centroids: ``[N, K, D]`` float64; zeros for an interest without items.
    """

    shares: np.ndarray
    centroids: np.ndarray


def implied_shares(z: Tensor, catalogue: Tensor, of: np.ndarray, count: int, scales: Sequence[float]) -> np.ndarray:
    r"""Compute the share of each interest that a model implies, at several scales of the logits.

    .. math:: q_k = \sum_{i \in k} \mathrm{softmax}_i(s \cdot \mathrm{score}(z, i))

    over the items that have an interest. The score is the product of ``z`` and the item; of several vectors of a user the best
    counts, as in an evaluation.

    Args:
        z: ``[N, D]`` or ``[N, K', D]`` normalized user vectors.
        catalogue: ``[I, D]`` normalized items.
        of: ``[I]`` interest of each item; -1 for none.
        count: number K of interests.
        scales: ``S`` scales of the logits, see :func:`interestlab.inference.logit_scale.logit_scale`.

    Returns:
        ``[S, N, K]`` float64 shares.
    """
    out = np.zeros((len(scales), len(z), count))
    order, bounds = sort_by_interest(of, count)
    for at, scores in score_in_blocks(z, catalogue[order]):
        for place, factor in enumerate(scales):
            out[place, at] = pool_shares(scores * factor, bounds).numpy()
    return out


def implied(z: Tensor, catalogue: Tensor, of: np.ndarray, count: int, vectors: np.ndarray, factor: float = 1.0) -> Implied:
    r"""Compute shares and centroids.

    The centroid of an interest is
    :math:`\mu_k = \sum_{i \in k} \mathrm{softmax}_{i \in k}(s \cdot \mathrm{score}(z, i))\, v_i`.

    The centroids have ``N x K x D`` numbers, so call it for some users at a time.

    Args:
        z: ``[N, D]`` or ``[N, K', D]`` normalized user vectors.
        catalogue: ``[I, D]`` normalized items.
        of: ``[I]`` interest of each item; -1 for none.
        count: number K of interests.
        vectors: ``[I, D]`` vector of each item.
        factor: scale of the logits, see :func:`interestlab.inference.logit_scale.logit_scale`.

    Returns:
        Shares and centroids of each user.
    """
    order, bounds = sort_by_interest(of, count)
    item_vectors = torch.from_numpy(np.asarray(vectors, np.float64)[order])
    shares, centroids = np.zeros((len(z), count)), np.zeros((len(z), count, item_vectors.shape[1]))
    for at, scores in score_in_blocks(z, catalogue[order]):
        shares[at] = pool_shares(scores * factor, bounds).numpy()
        for k, (first, last) in enumerate(pairwise(bounds)):
            centroids[at, k] = ((scores[:, first:last] * factor).softmax(1).double() @ item_vectors[first:last]).numpy()
    return Implied(shares, centroids)


def expected(z: Tensor, catalogue: Tensor, of: np.ndarray, count: int, vectors: np.ndarray, factor: float) -> np.ndarray:
    r"""Compute the expected item vector :math:`\sum_k q_k\mu_k` without computing the centroids.

    Args:
        z: ``[N, D]`` or ``[N, K', D]`` normalized user vectors.
        catalogue: ``[I, D]`` normalized items.
        of: ``[I]`` interest of each item; -1 for none.
        count: number K of interests.
        vectors: ``[I, D]`` vector of each item.
        factor: scale of the logits.

    Returns:
        ``[N, D]`` float32 vectors.
    """
    order, _ = sort_by_interest(of, count)
    item_vectors = torch.from_numpy(np.asarray(vectors, np.float32)[order])
    out = np.zeros((len(z), item_vectors.shape[1]), np.float32)
    for at, scores in score_in_blocks(z, catalogue[order]):
        out[at] = ((scores * factor).softmax(1) @ item_vectors).numpy()
    return out


def sort_by_interest(of: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort the items that have an interest by interest.

    Args:
        of: ``[I]`` interest of each item; -1 for none.
        count: number K of interests.

    Returns:
        Indices of the items, and ``[K + 1]`` the position at which each interest begins.
    """
    order = np.argsort(of, kind="stable")
    order = order[of[order] >= 0]
    return order, np.searchsorted(of[order], np.arange(count + 1))


def score_in_blocks(z: Tensor, table: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Score all items for :data:`CELLS` pairs of user and item at a time.

    Args:
        z: ``[N, D]`` or ``[N, K', D]`` normalized user vectors.
        table: ``[I, D]`` normalized items.

    Yields:
        The slice of users, and their ``[n, I]`` float32 scores.
    """
    step = max(1, CELLS // max(1, len(table) * (z.shape[1] if z.ndim == 3 else 1)))
    z, table = z.float(), table.float()
    for first in range(0, len(z), step):
        scores = z[first : first + step] @ table.T
        yield slice(first, first + len(scores)), scores.amax(1) if scores.ndim == 3 else scores


def pool_shares(logits: Tensor, bounds: np.ndarray) -> Tensor:
    """Sum the softmax of logits over the items of each interest.

    Args:
        logits: ``[n, I]`` logits, sorted by interest.
        bounds: ``[K + 1]`` position at which each interest begins.

    Returns:
        ``[n, K]`` float64 shares.
    """
    return torch.stack([logits[:, first:last].logsumexp(1) for first, last in pairwise(bounds)], 1).double().softmax(1)


class Changed(NamedTuple):
    """How the last events of users changed their implied shares and expected vectors.

    Attributes:
        users: ``[U]`` int64 users with more than n events.
        before: ``[U, K]`` implied shares without those events, at the time of the last one.
        after: ``[U, K]`` implied shares with them.
        migration: ``[U, D]`` float32 the part of the change of the expected vector that came from shares.
        evolution: ``[U, D]`` float32 the part that came from movement within interests.
    """

    users: np.ndarray
    before: np.ndarray
    after: np.ndarray
    migration: np.ndarray
    evolution: np.ndarray


def last_events_changed(view: ModelView, interests: Interests, users: np.ndarray, events: int) -> Changed:
    r"""Compare the state after the last n events with the state before them, advanced to the same time.

    The expected vector :math:`\sum_k q_k\mu_k` changes by :math:`M + E`
    (:func:`interestlab.drift.decomposition.decompose`).

    Args:
        view: the model and its histories.
        interests: the interests of the catalogue.
        users: ``[U]`` indices of users; those with at most ``events`` events are omitted.
        events: number n of events.

    Returns:
        The changes of the users with more than n events.
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
            implied(view.frozen.normalize(z), view.catalogue, interests.item_interest, count, interests.vectors, factor)
            for z in (view.states(last), view.states(last - events, at=log.time[last]))
        )
        before[at], after[at] = then.shares, now.shares
        migration[at], evolution[at] = decompose(then.shares, then.centroids, now.shares, now.centroids)
    return Changed(users, before, after, migration, evolution)
