"""Histories altered by chance, each still of the same user (CL4SRec, arXiv 2010.14395)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

Change = Literal["crop", "mask", "reorder", "dropout"]


class View(NamedTuple):
    """An altered history, as a dynamics reads it: ``x [B, T, D]``, ``dt [B, T]``, ``mask [B, T]``."""

    x: Tensor
    dt: Tensor
    mask: Tensor

    def where(self, users: Tensor, other: "View") -> "View":
        """The other view for some users ``[B]`` bool, this one for the rest."""
        chosen = (torch.where(users.view(-1, *[1] * (b.dim() - 1)), b, a) for a, b in zip(self, other, strict=True))
        return View(*chosen)


def crop(view: View, share: float) -> View:
    """A stretch of the history, of ``share`` of its events."""
    kept, start = stretch(view.mask, share)
    place = torch.arange(view.mask.shape[1], device=start.device).expand_as(view.mask)
    index = (place + start).clamp(max=place.shape[1] - 1)
    dt = view.dt.gather(1, index).masked_fill(place == 0, 0.0)
    return View(view.x.gather(1, index.unsqueeze(-1).expand_as(view.x)), dt, place < kept)


def mask(view: View, share: float) -> View:
    """``share`` of the events blanked out."""
    rank = torch.rand(view.mask.shape, device=view.x.device).masked_fill(~view.mask, 2.0).argsort(1).argsort(1)
    blank = rank < (view.mask.sum(1, keepdim=True) * share).floor()
    return view._replace(x=view.x.masked_fill(blank.unsqueeze(-1), 0.0))


def reorder(view: View, share: float) -> View:
    """A stretch of ``share`` of the events in another order; the times stay."""
    kept, start = stretch(view.mask, share)
    place = torch.arange(view.mask.shape[1], device=start.device).expand_as(view.mask)
    inside = (place >= start) & (place < start + kept)
    key = torch.where(inside, start + kept * torch.rand(place.shape, device=start.device, dtype=torch.float64), place)
    index = key.argsort(1)
    return view._replace(x=view.x.gather(1, index.unsqueeze(-1).expand_as(view.x)))


def stretch(real: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """``[B, 1]`` each: length of a stretch of at least one event, ``share`` of the history's, and where it begins."""
    length = real.sum(1, keepdim=True)
    kept = (length * share).floor().long().clamp(min=1)
    return kept, (torch.rand(length.shape, device=real.device) * (length - kept + 1)).floor().long()
