"""What the processes of a job make together of one step, so that it is the step that one process would make.

Every process draws the same batch and takes its share of the users. Each function here has to be called by all processes, in
the same order.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torchmetrics.utilities.distributed import gather_all_tensors


def world_size() -> int:
    """How many processes the job has."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def is_rank_zero() -> bool:
    """Whether this is the first process."""
    return world_size() == 1 or distributed.get_rank() == 0


def all_sum(number: Tensor) -> Tensor:
    """The sum over all processes; takes no gradient."""
    if world_size() == 1:
        return number
    summed = number.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(summed)
    return summed


def all_max(number: int, device: torch.device) -> int:
    """The largest of all processes' numbers."""
    if world_size() == 1:
        return number
    largest = torch.tensor(number, device=device)
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return int(largest)


def all_union(items: Tensor) -> Tensor:
    """The distinct items of all processes, ascending; each gives some, of any number."""
    distinct = torch.unique(items)
    return distinct if world_size() == 1 else torch.unique(torch.cat(gather_all_tensors(distinct)))


def weight_by_targets(known: Tensor, terms: Mapping[str, Tensor]) -> tuple[Tensor | float, dict[str, Tensor]]:
    """What a loss has to be multiplied by, and the terms of the loss over all processes.

    The strategies average gradients over processes. Where these hold unlike numbers of positions that is not the average over
    positions, unless the loss of each counts by its share of them.

    Args:
        known: scalar, how many positions of this process have a target.
        terms: scalars, each a mean over these positions.

    Returns:
        The factor, 1 of one process, and each term as a mean over the positions of all processes, without gradient.
    """
    told = {name: term.detach() for name, term in terms.items()}
    if world_size() == 1:
        return 1.0, told
    summed = all_sum(torch.stack([torch.ones_like(known), *told.values()]).float() * known)
    means = summed[1:] / summed[0]
    return known * world_size() / summed[0], dict(zip(told, means.unbind(), strict=True))


def encode_sharded(codes: np.ndarray, encode: Callable[[np.ndarray], Tensor]) -> Tensor:
    """``[U, D]`` of ``codes [U]``, the same in all processes: each encodes a share, and all gather, with gradient.

    The gradient of a vector is the sum of those that it gets in each process.
    """
    if (processes := world_size()) == 1:
        return encode(codes)
    mine = encode(codes[distributed.get_rank() :: processes])
    most = -(-len(codes) // processes)
    gathered: Tensor = _Gather.apply(F.pad(mine, (0, 0, 0, most - len(mine))))  # type: ignore[no-untyped-call]
    # The j-th of process r is codes[j · processes + r].
    return gathered.transpose(0, 1).flatten(0, 1)[: len(codes)]


class _Gather(torch.autograd.Function):
    """``[U, D]`` of each process -> ``[processes, U, D]``; torch's own is deprecated, and what is to follow it is private."""

    @staticmethod
    def forward(_: Any, mine: Tensor) -> Tensor:
        mine = mine.contiguous()
        everyones = [torch.empty_like(mine) for _ in range(world_size())]
        distributed.all_gather(everyones, mine)
        return torch.stack(everyones)

    @staticmethod
    @once_differentiable
    def backward(_: Any, grad: Tensor) -> Tensor:
        return all_sum(grad)[distributed.get_rank()]
