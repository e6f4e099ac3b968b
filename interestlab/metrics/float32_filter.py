"""Count the items above a target in float64 at the speed of float32.

The error of a float32 score has a bound. An item whose float32 score differs from the target's score by more than the bound is
above or below it; only the few items within the bound are scored in float64. The counts are those of float64.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def count_competitors(
    tiles: Iterable[tuple[int, Tensor]], user_states: Tensor, catalogue: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor] | None:
    """Count the items whose float64 score, rounded to float32, is above each user's target, or equal to it.

    Args:
        tiles: index of the first item and float32 scores ``[B, n]`` of each slice of the catalogue; those of items that do not
            compete, the target among them, are minus infinity.
        user_states: ``[B, D]`` or ``[B, K, D]``, float64.
        catalogue: ``[N, D]`` item vectors, float64.
        targets: ``[B]`` index of each user's target.

    Returns:
        Number of higher items ``[B]`` and number of tied items ``[B]``, int64; None if float32 decides too little: the values
        overflow, or a large share of the items has nearly the score of the target.
    """
    own = exact_scores(user_states, catalogue[targets])
    margin = error_bound(user_states, catalogue)
    low, high = (own - margin)[:, None], (own + margin)[:, None]
    if not torch.isfinite(high - low).all():
        return None
    num_higher, num_equal = torch.zeros_like(targets), torch.zeros_like(targets)
    for first, scores in tiles:
        higher = (scores > high).sum(1)
        num_higher += higher
        users = torch.nonzero(higher + (scores < low).sum(1) < scores.shape[1])[:, 0]
        unclear = ~((scores[users] > high[users]) | (scores[users] < low[users]))
        row, item = unclear.nonzero(as_tuple=True)
        if len(row) * catalogue.shape[1] > scores.numel():
            return None
        exact = exact_scores(user_states[users[row]], catalogue[first + item])
        num_higher.index_add_(0, users[row], (exact > own[users[row]]).long())
        num_equal.index_add_(0, users[row], (exact == own[users[row]]).long())
    return num_higher, num_equal


def exact_scores(user_states: Tensor, items: Tensor) -> Tensor:
    """Score one item per user in float64, and round to float32.

    Args:
        user_states: ``[B, D]`` or ``[B, K, D]``; the best of K counts.
        items: ``[B, D]``.

    Returns:
        ``[B]`` float32.
    """
    if user_states.ndim == 3:
        return torch.einsum("bkd,bd->bk", user_states, items).amax(1).float()
    return torch.einsum("bd,bd->b", user_states, items).float()


def error_bound(user_states: Tensor, catalogue: Tensor) -> Tensor:
    """Bound the difference between a float32 score and the float64 score of the same item, rounded to float32.

    With the unit roundoff u, both factors are rounded (2u), D products are summed in any order (γ_D ≈ D u, Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.1) and the float64 score is rounded (u); all relative to ‖z‖ ‖v‖.

    Args:
        user_states: ``[B, D]`` or ``[B, K, D]``, float64.
        catalogue: ``[N, D]``, float64.

    Returns:
        ``[B]`` float32, one bound per user for all items.
    """
    # Below "highest", torch may multiply in TF32 or bfloat16.
    unit = 2.0**-24 if torch.get_float32_matmul_precision() == "highest" else 2.0**-8
    norms = torch.linalg.vector_norm(user_states, dim=-1)
    norms = norms.amax(1) if user_states.ndim == 3 else norms
    width, tiny = catalogue.shape[1], torch.finfo(torch.float32).tiny
    relative = 1.05 * (width + 8) * unit  # more than the sum of the terms, for products of roundoffs
    return (relative * norms * torch.linalg.vector_norm(catalogue, dim=1).amax() + width * tiny).float()
