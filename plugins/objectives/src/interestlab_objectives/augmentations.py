"""Random augmentations of histories (CL4SRec, Xie et al. 2022, arXiv 2010.14395)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Augmentation = Literal["crop", "mask", "reorder", "dropout"]


class History(NamedTuple):
    """The inputs of a dynamics.

    Attributes:
        x: ``[B, T, D]`` event embeddings.
        dt: ``[B, T]`` days since the previous event.
        mask: ``[B, T]`` bool, True for real events; the padding is on the right.
    """

    x: Tensor
    dt: Tensor
    mask: Tensor

    def replace_where(self, users: Tensor, other: "History") -> "History":
        """Replace the histories of some users.

        Args:
            users: ``[B]`` bool, True for users whose history comes from ``other``.
            other: histories of the same shape.

        Returns:
            the combined histories.
        """
        combined = (torch.where(users.view(-1, *[1] * (b.dim() - 1)), b, a) for a, b in zip(self, other, strict=True))
        return History(*combined)


def crop(history: History, share: float) -> History:
    """Keep a random contiguous part of each history.

    Args:
        history: the original histories.
        share: share of events to keep, between 0 and 1; at least one event is kept.

    Returns:
        the cropped histories, moved to the left.
    """
    length, start = _random_span(history.mask, share)
    position = torch.arange(history.mask.shape[1], device=start.device).expand_as(history.mask)
    index = (position + start).clamp(max=position.shape[1] - 1)
    dt = history.dt.gather(1, index).masked_fill(position == 0, 0.0)
    return History(history.x.gather(1, index.unsqueeze(-1).expand_as(history.x)), dt, position < length)


def mask(history: History, share: float) -> History:
    """Zero randomly sampled events of each history.

    Args:
        history: the original histories.
        share: share of events to zero, between 0 and 1.

    Returns:
        the histories with zeroed events.
    """
    rank = torch.rand(history.mask.shape, device=history.x.device).masked_fill(~history.mask, 2.0).argsort(1).argsort(1)
    zeroed = rank < (history.mask.sum(1, keepdim=True) * share).floor()
    return history._replace(x=history.x.masked_fill(zeroed.unsqueeze(-1), 0.0))


def reorder(history: History, share: float) -> History:
    """Shuffle the events of a random contiguous part of each history; the times stay in place.

    Args:
        history: the original histories.
        share: share of events to shuffle, between 0 and 1.

    Returns:
        the shuffled histories.
    """
    length, start = _random_span(history.mask, share)
    position = torch.arange(history.mask.shape[1], device=start.device).expand_as(history.mask)
    inside = (position >= start) & (position < start + length)
    noise = torch.rand(position.shape, device=start.device, dtype=torch.float64)
    index = torch.where(inside, start + length * noise, position).argsort(1)
    return history._replace(x=history.x.gather(1, index.unsqueeze(-1).expand_as(history.x)))


def _random_span(is_event: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Sample one span per history.

    Args:
        is_event: ``[B, T]`` bool, True for real events.
        share: length of the span as a share of the history's.

    Returns:
        ``[B, 1]`` length of the span, at least 1, and ``[B, 1]`` index of its first event.
    """
    history_length = is_event.sum(1, keepdim=True)
    length = (history_length * share).floor().long().clamp(min=1)
    offset = torch.rand(history_length.shape, device=is_event.device) * (history_length - length + 1)
    return length, offset.floor().long()
