"""Exact ranking of the whole catalogue for every user, one tile at a time: the matrix users x catalogue never exists.

Scores are computed in float64 and compared in float32. Two items of equal vectors therefore tie whatever the shape of the
matrix product that scored them, and a rank does not depend on which users or items were scored together.

Cost: users x items x width multiplications, for ranks in float32 (:mod:`interestlab.metrics.float32_filter`); memory for
``TILE`` scores.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from interestlab.metrics.float32_filter import count_competitors

TILE = 1_000_000
"""Number of scores in memory at once; a tile stays in the cache of one core."""


def score_tiles(user_states: Tensor, catalogue: Tensor, history_items: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Score all users against one slice of the catalogue at a time.

    Args:
        user_states: ``[B, D]``, or ``[B, K, D]`` for several interests per user, of which the best one counts.
        catalogue: ``[N, D]`` item vectors.
        history_items: ``[B, S]`` items to exclude, -1 for none; their score is minus infinity.

    Yields:
        Index of the first item of the slice, and the scores ``[B, n]`` float32.
    """
    width = max(1, TILE // max(1, user_states[..., 0].numel()))
    for first in range(0, len(catalogue), width):
        scores = (user_states @ catalogue[first : first + width].T).float()
        scores = scores.amax(1) if user_states.ndim == 3 else scores
        _exclude(scores, history_items - first)
        yield first, scores


def target_ranks(user_states: Tensor, catalogue: Tensor, targets: Tensor, history_items: Tensor) -> tuple[Tensor, Tensor]:
    """Count the items that score above each user's target, and the other items that tie with it.

    A target that is also in the history is not excluded, because it is the item that followed.

    Args:
        user_states: ``[B, D]`` or ``[B, K, D]``, see :func:`score_tiles`.
        catalogue: ``[N, D]`` item vectors.
        targets: ``[B]`` index of each user's target.
        history_items: ``[B, S]`` items to exclude, -1 for none.

    Returns:
        Number of higher items ``[B]`` and number of tied items ``[B]``, int64.
    """
    excluded = _without_targets(history_items, targets)
    counts = None
    with torch.autocast(user_states.device.type, enabled=False):  # mixed precision would multiply float32 in half precision
        if user_states.dtype == torch.float64:
            tiles = score_tiles(user_states.float(), catalogue.float(), torch.cat([excluded, targets[:, None]], 1))
            counts = count_competitors(tiles, user_states, catalogue, targets)
        return counts or _count_competitors(lambda: score_tiles(user_states, catalogue, excluded), targets)


def target_ranks_of_scores(scores: Tensor, targets: Tensor, history_items: Tensor) -> tuple[Tensor, Tensor]:
    """Count competitors as :func:`target_ranks` does, from scores that were computed elsewhere.

    Args:
        scores: ``[B, N]`` score of every item; compared in float32. If it is float32, excluded scores are overwritten.
        targets: ``[B]`` index of each user's target.
        history_items: ``[B, S]`` items to exclude, -1 for none.

    Returns:
        Number of higher items ``[B]`` and number of tied items ``[B]``, int64.
    """
    scores = scores.float()
    _exclude(scores, _without_targets(history_items, targets))
    return _count_competitors(lambda: iter([(0, scores)]), targets)


def _without_targets(history_items: Tensor, targets: Tensor) -> Tensor:
    return torch.where(history_items == targets[:, None], -1, history_items)


def _exclude(scores: Tensor, items: Tensor) -> None:
    """Set the scores ``[B, n]`` of the items ``[B, S]`` to minus infinity; an index outside of the slice is ignored."""
    inside = (items >= 0) & (items < scores.shape[1])
    users = torch.arange(len(scores), device=scores.device)[:, None].expand_as(items)
    scores[users[inside], items[inside]] = -torch.inf


def _count_competitors(tiles: Callable[[], Iterator[tuple[int, Tensor]]], targets: Tensor) -> tuple[Tensor, Tensor]:
    """Count higher and tied items in two passes over the tiles: the first finds the scores of the targets."""
    target_scores = torch.empty(len(targets), dtype=torch.float32, device=targets.device)
    for first, scores in tiles():
        inside = (targets >= first) & (targets < first + scores.shape[1])
        target_scores[inside] = scores[inside].gather(1, (targets[inside] - first)[:, None])[:, 0]
    num_higher, num_equal = torch.zeros_like(targets), torch.zeros_like(targets)
    for _, scores in tiles():
        num_higher += (scores > target_scores[:, None]).sum(1)
        num_equal += (scores == target_scores[:, None]).sum(1)
    return num_higher, num_equal - 1


def top_k_items(user_states: Tensor, catalogue: Tensor, history_items: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the ``k`` items of highest score for each user; ties are ordered by lower index.

    Args:
        user_states: ``[B, D]`` or ``[B, K, D]``, see :func:`score_tiles`.
        catalogue: ``[N, D]`` item vectors.
        history_items: ``[B, S]`` items to exclude, -1 for none.
        k: number of items; fewer are returned if the catalogue is smaller.

    Returns:
        Items ``[B, k]`` int64 and their scores ``[B, k]`` float32; an excluded item has score minus infinity.
    """
    best = torch.empty(len(user_states), 0, dtype=torch.int64, device=user_states.device)
    for first, scores in score_tiles(user_states, catalogue, history_items):
        index = torch.arange(first, first + scores.shape[1], device=user_states.device)
        best = torch.cat([best, sort_keys(scores, index)], 1)
        best = best.topk(min(k, best.shape[1]), 1).values
    return LOW_BITS - (best & LOW_BITS), scores_from_keys(best)


LOW_BITS = 2**31 - 1


def sort_keys(scores: Tensor, index: Tensor) -> Tensor:
    """Build int64 keys that sort by score, then by lower index; no two are equal, so the order is deterministic.

    Args:
        scores: ``[B, n]`` float32.
        index: ``[n]`` item indices.

    Returns:
        ``[B, n]`` int64.
    """
    bits = (scores + 0.0).view(torch.int32)  # -0.0 + 0.0 is 0.0
    ordered = torch.where(bits < 0, bits ^ LOW_BITS, bits)  # the bits of a negative float fall as it rises
    return (ordered.long() << 32) | (LOW_BITS - index)


def scores_from_keys(keys: Tensor) -> Tensor:
    """Recover the scores from their sort keys.

    Args:
        keys: int64, from :func:`sort_keys`.

    Returns:
        float32 scores of the same shape.
    """
    ordered = (keys >> 32).int()
    return torch.where(ordered < 0, ordered ^ LOW_BITS, ordered).view(torch.float32)
