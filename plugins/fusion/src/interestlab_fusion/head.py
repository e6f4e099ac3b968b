"""Base classes of the fusion heads."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from interestlab.contract import FusionHead
from interestlab_fusion.streams import drop_streams, mean_of_present, stack_streams


class Head(FusionHead):
    """A fusion head over stacked streams. Subclasses implement :meth:`join`.

    Args:
        dim: width of the model.
        modality_dropout: probability in training of dropping each stream of a row, but never all of them, so that the model
            does not rely on a single stream (ModDrop, Neverova et al. 2015, arXiv 1501.00102).

    Raises:
        ValueError: ``modality_dropout`` is not between 0 and 1.
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
        values, mask = stack_streams(self.streams, streams, present)
        if self.training and self.modality_dropout:
            values, mask = drop_streams(values, mask, self.modality_dropout)
        return self.join(values, mask)

    @abstractmethod
    def join(self, values: Tensor, mask: Tensor) -> Tensor:
        """Join stacked streams.

        Args:
            values: ``[..., S, D]``, zero where ``mask`` is False.
            mask: ``[..., S]`` bool, True where a stream is present.

        Returns:
            ``[..., D]``.
        """


class TokenHead(Head):
    """A head that treats each stream as a token: ``mean + W f(x_1 + e_1, …, x_S + e_S)``. Subclasses implement ``f``.

    ``e`` is a learnt embedding of each stream. ``W`` is initialised with zeros, so training starts from the mean.
    """

    def build(self, streams: Sequence[str]) -> None:
        super().build(streams)
        self.out = nn.Linear(self.dim, self.dim, bias=False)
        nn.init.zeros_(self.out.weight)
        self.stream_embeddings = nn.Parameter(0.02 * torch.randn(len(streams), self.dim))

    def join(self, values: Tensor, mask: Tensor) -> Tensor:
        return mean_of_present(values, mask) + self.out(self.transform(values + self.stream_embeddings, mask))

    @abstractmethod
    def transform(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Transform tokens into one vector, the function ``f``.

        Args:
            tokens: ``[..., S, D]``; values where ``mask`` is False have no meaning.
            mask: ``[..., S]`` bool, True where a stream is present.

        Returns:
            ``[..., D]``, zero in rows without any stream.
        """
