"""Choose the candidate items of a training step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interestlab.batch import Batch
from interestlab.contract import Objective
from interestlab.distributed import collectives
from interestlab.distributed.rank import is_rank_zero
from interestlab.model.backbone import ALL
from interestlab.training.logq import log_inclusion


@dataclass(frozen=True)
class CandidateItems:
    """The candidate items of a training step, the same in all processes.

    Attributes:
        items: ``[C]`` int64 indices, ascending.
        rows: the same as rows of the catalogue; :data:`interestlab.model.backbone.ALL` if every item is a candidate.
        log_inclusion: ``[C]`` log of the probability that each is a candidate; 0 if every item is.
    """

    items: Tensor
    rows: np.ndarray | slice
    log_inclusion: Tensor


def choose_candidates(batch: Batch, objectives: Sequence[Objective], log_q: Tensor) -> CandidateItems:
    """Choose the candidates that the most demanding objective needs.

    They are the whole catalogue, or the distinct items and targets of the batch over all processes, joined by items that are
    sampled uniformly from the catalogue.

    Args:
        batch: the histories of this process.
        objectives: all objectives of the model.
        log_q: ``[N]`` log of each item's share of the events.
    """
    num_items, device = len(log_q), log_q.device
    if any(objective.candidates == "catalogue" for objective in objectives):
        return CandidateItems(torch.arange(num_items, device=device), ALL, torch.zeros_like(log_q))
    sampled = torch.randint(num_items, (max(objective.num_sampled for objective in objectives),), device=device)
    own = torch.cat([batch.items[batch.mask], batch.targets[batch.targets >= 0]])
    # Only the first process samples, so that the number of sampled items does not grow with the number of processes.
    items = collectives.all_union(torch.cat([own, sampled]) if is_rank_zero() else own)
    # Each history adds one event that it does not show: the target of its last position.
    num_events = collectives.all_sum(batch.mask.sum() + len(batch.users))
    inclusion = log_inclusion(log_q[items], num_events, len(sampled), num_items)
    return CandidateItems(items, items.cpu().numpy(), inclusion)
