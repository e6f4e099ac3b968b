"""Forecast of the categories of a user's coming days."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.argument_checks import require_positive
from interestlab_objectives.dot_products import dot_products


class Forecast(Objective):
    """Cross-entropy of the categories of the user's events within the next days.

    The vector of a category is the mean of its items' vectors, and the forecast is ``softmax(z · c / temperature)``. The
    objective therefore adds no weights, and the same user state ranks items. The target of a position is the distribution of
    categories among the user's events in the window after it; a position whose window is empty has no loss. The last event
    of a training history is in no window.

    To combine it with an objective that uses the items of the batch, set ``candidates=batch`` here too: the objectives of a
    model share the larger of the candidate sets that they ask for.

    Args:
        field: item field that holds the category.
        window: length of the window in days.
        candidates: items whose vectors are averaged: ``catalogue`` for all items, ``batch`` for those of the batch, which is
            cheaper.
        temperature: divides the dot products. 0.07 suits unit vectors, 1.0 suits plain dot products.

    Raises:
        ValueError: an argument is not positive.
    """

    def __init__(
        self,
        field: str = "item.category",
        window: float = 7.0,
        candidates: Literal["catalogue", "batch"] = "catalogue",
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        require_positive(window=window, temperature=temperature)
        self.field, self.fields, self.candidates = field, [field], candidates
        self.window, self.temperature = window, temperature

    def forward(self, step: Step) -> Tensor:
        batch, codes = step.batch, step.candidates.field_codes[self.field]
        categories, category_index = torch.unique(codes, return_inverse=True)
        category_vectors = group_means(step.candidates.embeddings, category_index, len(categories))
        event_candidates = step.candidates.index_of(batch.items)
        event_categories = category_index[event_candidates]
        in_window = events_in_window(batch.dt, batch.mask & (codes >= 0)[event_candidates], self.window)
        has_loss = step.target_mask & in_window.any(-1)
        logits = dot_products(step.user_states[has_loss], category_vectors) / self.temperature
        logits = logits.masked_fill(categories < 0, -torch.inf)
        users = has_loss.nonzero()[:, 0]
        log_probabilities = F.log_softmax(logits, -1).gather(1, event_categories[users])
        losses = -log_probabilities.masked_fill(~in_window[has_loss], 0.0).sum(1)
        return (losses / in_window[has_loss].sum(1)).sum() / max(len(losses), 1)


def group_means(vectors: Tensor, groups: Tensor, count: int) -> Tensor:
    """Average vectors by group in float32 or wider.

    Args:
        vectors: ``[C, D]``.
        groups: ``[C]`` int64 group of each vector, from 0 to ``count - 1``.
        count: number of groups.

    Returns:
        ``[count, D]``.
    """
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    total = vectors.new_zeros(count, vectors.shape[1]).index_add(0, groups, vectors)
    return total / torch.bincount(groups, minlength=count).unsqueeze(1).to(vectors.dtype)


def events_in_window(dt: Tensor, valid: Tensor, window: float) -> Tensor:
    """Mark the later events within a time window after each event.

    Args:
        dt: ``[B, T]`` days since the previous event.
        valid: ``[B, T]`` bool, True for events that count.
        window: length of the window in days.

    Returns:
        ``[B, T, T]`` bool: entry ``[b, i, j]`` is True if valid event j comes after event i and within the window.
    """
    time = dt.double().cumsum(1)
    is_later = torch.ones(dt.shape[1], dt.shape[1], dtype=torch.bool, device=dt.device).triu(1)
    return is_later & (time.unsqueeze(1) - time.unsqueeze(2) <= window) & valid.unsqueeze(1)
