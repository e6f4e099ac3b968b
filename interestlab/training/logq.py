"""How likely an item is to be among the candidates of a step."""

import torch
from torch import Tensor


def log_inclusion(log_q: Tensor, events: Tensor | int, sampled: int, catalogue: int) -> Tensor:
    """Log of the chance that an item is among the candidates: ``log(1 - (1 - q)^events (1 - 1/catalogue)^sampled)``.

    Candidates are unique, so the ``log q`` of Yi et al. 2019 ("Sampling-bias-corrected neural modeling for large corpus item
    recommendations"), which counts an item as often as it was drawn, would correct a popular one twice. Where ``q · events``
    is small the two differ only by a constant, which a softmax does not see.

    Args:
        log_q: ``[C]`` log of the share of events that each item holds.
        events: how many of a step's items come from the histories.
        sampled: how many are drawn evenly from the catalogue besides.
        catalogue: number of all items.

    Returns:
        ``[C]``, float32, at most 0.
    """
    share = log_q.float().exp().clamp_max(1 - 1e-6)
    missed = events * torch.log1p(-share) + sampled * torch.log1p(-torch.full_like(share, 1 / catalogue).clamp_max(1 - 1e-6))
    return torch.log(-torch.expm1(missed))
