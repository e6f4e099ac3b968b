"""What every fusion head here does first: streams side by side, some of them dropped in training."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from interestlab.contract import FusionHead
from interestlab_fusion.streams import dropped, mean_of_present, side_by_side


class Head(FusionHead):
    """A head that reads its streams side by side; subclasses say in :meth:`join` what becomes of them.

    Args:
        dim: width of the model.
        modality_dropout: probability in training that a row loses a stream, never its last one, so that no stream leans on
            another (ModDrop: Neverova et al. 2015, arXiv 1501.00102).

    Raises:
        ValueError: ``modality_dropout`` is no probability.
    """

    def __init__(self, dim: int, modality_dropout: float = 0.0) -> None:
        super().__init__()
        if not 0 <= modality_dropout <= 1:
            raise ValueError(f"modality_dropout={modality_dropout} is not between 0 and 1")
        self.dim = dim
        self.modality_dropout = modality_dropout

    def build(self, streams: Sequence[str]) -> None:
        self.streams = list(streams)

    def forward(self, streams: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        values, mask = side_by_side(self.streams, streams, present)
        if self.training and self.modality_dropout:
            values, mask = dropped(values, mask, self.modality_dropout)
        return self.join(values, mask)

    @abstractmethod
    def join(self, values: Tensor, mask: Tensor) -> Tensor:
        """``values [..., S, D]``, zero where ``mask [..., S]`` is False -> ``[..., D]``."""


class TokenHead(Head):
    """``mean + W f(x_1 + e_1, …, x_S + e_S)``: subclasses say in :meth:`read` what f makes of the streams as tokens.

    ``e`` is a learnt vector that says which stream a token is. ``W`` starts at zero, so training starts from the mean.
    """

    def build(self, streams: Sequence[str]) -> None:
        super().build(streams)
        self.out = nn.Linear(self.dim, self.dim, bias=False)
        nn.init.zeros_(self.out.weight)
        self.kinds = nn.Parameter(0.02 * torch.randn(len(streams), self.dim))

    def join(self, values: Tensor, mask: Tensor) -> Tensor:
        return mean_of_present(values, mask) + self.out(self.read(values + self.kinds, mask))

    @abstractmethod
    def read(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """``tokens [..., S, D]``, of no meaning where ``mask [..., S]`` is False -> ``[..., D]``, zero where all are."""
