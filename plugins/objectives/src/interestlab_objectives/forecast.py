"""What a user will turn to in the days to come."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from interestlab.contract import Objective
from interestlab.step import Step
from interestlab_objectives.checks import positive
from interestlab_objectives.dots import dots


class Forecast(Objective):
    """The distribution over categories of a user's next days.

    A category is the mean of its items' vectors, and its score that of an item there: ``softmax(z · c / temperature)``. So a
    forecast adds no weights, and items are ranked by the same interest. The loss of a position is the cross-entropy with the
    shares of the categories among the user's events of the window after it; a position whose window holds none has no loss.
    The last event of training is in no window.

    Beside an objective of the batch, take the candidates of the batch too: the objectives of a model share what the most
    demanding of them asks.

    Args:
        field: of the items, what a category is.
        window: days.
        candidates: whose vectors make a category: of all items, or of those of the batch, which is cheaper.
        temperature: dot products are divided by it. 0.07 suits vectors of unit length; 1.0 suits plain dot products.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(
        self,
        field: str = "item.category",
        window: float = 7.0,
        candidates: Literal["catalogue", "batch"] = "catalogue",
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        positive(window=window, temperature=temperature)
        self.field, self.fields, self.candidates = field, [field], candidates
        self.window, self.temperature = window, temperature

    def forward(self, step: Step) -> Tensor:
        batch, codes = step.batch, step.candidates.field_codes[self.field]
        categories, places = torch.unique(codes, return_inverse=True)
        table = means(step.candidates.embeddings, places, len(categories))
        category = places[step.candidates.index_of(batch.items)]
        ahead = coming(batch.dt, batch.mask & (codes >= 0)[step.candidates.index_of(batch.items)], self.window)
        due = step.target_mask & ahead.any(-1)
        logits = (dots(step.user_states[due], table) / self.temperature).masked_fill(categories < 0, -torch.inf)
        users = due.nonzero()[:, 0]
        losses = -F.log_softmax(logits, -1).gather(1, category[users]).masked_fill(~ahead[due], 0.0).sum(1)
        return (losses / ahead[due].sum(1)).sum() / max(len(losses), 1)


def means(vectors: Tensor, groups: Tensor, count: int) -> Tensor:
    """``[count, D]`` mean vector of each group, of vectors ``[C, D]`` whose groups are ``groups [C]``, in float32 at least."""
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    total = vectors.new_zeros(count, vectors.shape[1]).index_add(0, groups, vectors)
    return total / torch.bincount(groups, minlength=count).unsqueeze(1).to(vectors.dtype)


def coming(dt: Tensor, held: Tensor, window: float) -> Tensor:
    """Which events lie in the window after each event.

    Args:
        dt: ``[B, T]`` days since the previous event.
        held: ``[B, T]`` bool, which events count.
        window: days.

    Returns:
        ``[B, T, T]`` bool, from, to.
    """
    time = dt.double().cumsum(1)
    later = torch.ones(dt.shape[1], dt.shape[1], dtype=torch.bool, device=dt.device).triu(1)
    return later & (time.unsqueeze(1) - time.unsqueeze(2) <= window) & held.unsqueeze(1)
