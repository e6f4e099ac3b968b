"""Feature-wise linear modulation."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab_fusion.head import Head
from interestlab_fusion.streams import mean_of_present

log = logging.getLogger(__name__)


class Film(Head):
    """Feature-wise linear modulation (FiLM): some streams scale and shift the others.

    The result is ``(1 + Σ G_m x_m) ⊙ c + Σ B_m x_m``, where the content ``c`` is the mean of the content streams that are
    present and ``x_m`` are the modulators. Use it to let behaviour (action, time, rating) modulate the item. ``G`` and ``B``
    are initialised with zeros, so training starts from the content alone. A missing modulator has no effect. If the content
    is missing, the result is the mean of the modulators that are present, or zero if there are none.

    Source: Perez et al. 2018, arXiv 1709.07871.

    Args:
        dim: width of the model.
        modulators: names of the modulating streams; the others are content. None: all but the first stream, which is the item
            where the head joins an item with its event. A head without any of these streams returns the mean.
        kwargs: arguments of every fusion head.

    Raises:
        ValueError: every stream is a modulator, so that there is no content.
    """

    is_modulator: Tensor
    modulator_index: Tensor

    def __init__(self, dim: int, modulators: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(dim, **kwargs)
        self.modulators = modulators

    def build(self, streams: Sequence[str]) -> None:
        super().build(streams)
        modulators = streams[1:] if self.modulators is None else self.modulators
        flags = [name in modulators for name in streams]
        if all(flags):
            raise ValueError(f"film: every stream ({', '.join(streams)}) is a modulator; leave at least one as content")
        if self.modulators and not any(flags):
            log.info(f"film: no stream of {', '.join(streams)} is in modulators={modulators}; they are averaged instead")
        self.register_buffer("is_modulator", torch.tensor(flags), persistent=False)
        # Indices instead of a boolean mask: indexing with a mask makes the CPU wait for the GPU.
        self.register_buffer("modulator_index", self.is_modulator.nonzero().squeeze(-1), persistent=False)
        self.film = nn.Parameter(torch.zeros(2 * self.dim, sum(flags) * self.dim))

    def join(self, values: Tensor, mask: Tensor) -> Tensor:
        scale, shift = F.linear(values.index_select(-2, self.modulator_index).flatten(-2), self.film).chunk(2, -1)
        content_mask = mask & ~self.is_modulator
        content = mean_of_present(values, content_mask)
        has_content = content_mask.any(-1, keepdim=True)
        return torch.where(has_content, content + scale * content + shift, mean_of_present(values, mask))
