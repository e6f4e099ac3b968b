"""Some streams say how another is to be read."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab_fusion.head import Head
from interestlab_fusion.streams import mean_of_present


class Film(Head):
    """Feature-wise linear modulation: ``(1 + Σ G_m x_m) ⊙ c + Σ B_m x_m``, of content ``c`` by the modulators ``x_m``.

    Behaviour modulates content: what was done, when and how it was rated says how the item counts (Perez et al. 2018,
    arXiv 1709.07871). ``c`` is the mean of the content streams that are present. ``G`` and ``B`` start at zero, so training
    starts from the content alone. A missing modulator changes nothing. Where the content is missing the result is the mean
    of the modulators that are present, and zero where there are none.

    Args:
        dim: width of the model.
        modulators: names of the streams that modulate; the others are content. None: all but the first, which is the item
            in a head that joins an item with its event. A head that has none of them takes the mean of its streams.
        kwargs: as for every head.

    Raises:
        ValueError: every stream modulates, so that there is no content.
    """

    modulates: Tensor
    places: Tensor

    def __init__(self, dim: int, modulators: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(dim, **kwargs)
        self.modulators = modulators

    def build(self, streams: Sequence[str]) -> None:
        super().build(streams)
        chosen = streams[1:] if self.modulators is None else self.modulators
        roles = [name in chosen for name in streams]
        if all(roles):
            raise ValueError(f"film: all of {', '.join(streams)} modulate, and nothing is left to be modulated")
        if self.modulators and not any(roles):
            rank_zero_info(f"film: none of {', '.join(chosen)} is among {', '.join(streams)}, which are joined by their mean")
        self.register_buffer("modulates", torch.tensor(roles), persistent=False)
        # Places, not a mask: a GPU is waited for until it tells how many a mask holds.
        self.register_buffer("places", self.modulates.nonzero().squeeze(-1), persistent=False)
        self.film = nn.Parameter(torch.zeros(2 * self.dim, sum(roles) * self.dim))

    def join(self, values: Tensor, mask: Tensor) -> Tensor:
        scale, shift = F.linear(values.index_select(-2, self.places).flatten(-2), self.film).chunk(2, -1)
        content = mean_of_present(values, mask & ~self.modulates)
        there = (mask & ~self.modulates).any(-1, keepdim=True)
        return torch.where(there, content + scale * content + shift, mean_of_present(values, mask))
