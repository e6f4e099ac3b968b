"""Compute the probability that an item is among the candidates of a training step."""

import torch
from torch import Tensor


def log_inclusion(log_q: Tensor, num_events: Tensor | int, num_sampled: int, num_items: int) -> Tensor:
    """Compute ``log(1 - (1 - q)^num_events (1 - 1 / num_items)^num_sampled)`` for each candidate.

    Candidates are distinct. The ``log q`` of Yi et al. 2019 ("Sampling-bias-corrected neural modeling for large corpus item
    recommendations") counts an item as often as it was drawn, so it would correct a popular item too much. Where
    ``q * num_events`` is small the two differ by a constant, which cancels in a softmax.

    Args:
        log_q: ``[C]`` log of each item's share of the events.
        num_events: number of the step's items that come from histories.
        num_sampled: number of items that are sampled uniformly from the catalogue.
        num_items: size of the catalogue.

    Returns:
        ``[C]`` float32, at most 0.
    """
    share = log_q.float().exp().clamp_max(1 - 1e-6)
    uniform = torch.full_like(share, 1 / num_items).clamp_max(1 - 1e-6)
    log_excluded = num_events * torch.log1p(-share) + num_sampled * torch.log1p(-uniform)
    return torch.log(-torch.expm1(log_excluded))
