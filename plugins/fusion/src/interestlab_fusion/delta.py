"""Text, or other content, plus a bounded change learnt for each id."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from interestlab_fusion.head import Head
from interestlab_fusion.streams import mean_of_present

log = logging.getLogger(__name__)


class Delta(Head):
    """Content plus a bounded learnt change of each id, normalised after adding.

    The result is ``(c + d) / |c + d|``. The content ``c`` is the mean of the content streams that are present, after a learnt
    linear map that starts at the identity, scaled to unit length. The change ``d = u / sqrt(1 + |u|² / bound²)`` is the sum
    ``u`` of the id streams, shortened so that its length stays below ``bound``. An id of zeros, or a missing one, leaves the
    content as it is. So an item without training is represented by its text. An item without content is represented by
    ``m + u``, with a learnt vector ``m``, since the length of its id should not be limited.

    Start the ids at zero (``id`` with ``std: 0``) and let ids without training count as missing (``min_count: 1``).

    Source: TF-LLMER, arXiv 2604.20490, normalises after adding; arXiv 2507.19473 bounds the change.

    Args:
        dim: width of the model.
        ids: names of the streams that form the change; the others are content.
        bound: upper limit of the length of the change, where the content has length 1.
        adapt: whether the map of the content is trained. It helps items without training too, because all items share it.
        kwargs: arguments of every fusion head.

    Raises:
        ValueError: ``bound`` is not positive, or every stream is an id stream, so that there is no content.
    """

    is_id: Tensor

    def __init__(self, dim: int, ids: Sequence[str] = ("id",), bound: float = 0.5, adapt: bool = True, **kwargs: Any) -> None:
        super().__init__(dim, **kwargs)
        if not bound > 0:
            raise ValueError(f"bound={bound} is not positive")
        self.ids, self.bound, self.adapt = list(ids), bound, adapt

    def build(self, streams: Sequence[str]) -> None:
        super().build(streams)
        flags = [name in self.ids for name in streams]
        if all(flags):
            raise ValueError(f"delta: every stream ({', '.join(streams)}) is in ids; leave at least one as content")
        if not any(flags):
            log.info(f"delta: no stream of {', '.join(streams)} is in ids={self.ids}; their mean is normalised instead")
        self.register_buffer("is_id", torch.tensor(flags), persistent=False)
        self.missing = nn.Parameter(0.02 * torch.randn(self.dim))
        self.map: nn.Module = nn.Identity()
        if self.adapt:
            self.map = linear = nn.Linear(self.dim, self.dim, bias=False)
            nn.init.eye_(linear.weight)

    def join(self, values: Tensor, mask: Tensor) -> Tensor:
        content_mask = mask & ~self.is_id
        has_content = content_mask.any(-1, keepdim=True)
        content = F.normalize(self.map(mean_of_present(values, content_mask)), dim=-1)
        change = (values * self.is_id.unsqueeze(-1)).sum(-2)
        bounded = change / torch.sqrt(1 + change.square().sum(-1, keepdim=True) / self.bound**2)
        return F.normalize(torch.where(has_content, content + bounded, self.missing.to(values.dtype) + change), dim=-1)
