"""Collective operations, so that a training step over several processes equals the step of one process.

All processes draw the same batch, and each takes its share of the users. All processes have to call each function here, in
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

from interestlab.distributed.rank import world_size


def all_sum(tensor: Tensor) -> Tensor:
    """Sum a tensor over all processes, without gradient.

    Args:
        tensor: tensor of the same shape in all processes.

    Returns:
        The sum; the tensor itself in a job of one process.
    """
    if world_size() == 1:
        return tensor
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


def all_max(number: int, device: torch.device) -> int:
    """Return the largest number of all processes.

    Args:
        number: the number of this process.
        device: the device that the processes communicate by.
    """
    if world_size() == 1:
        return number
    largest = torch.tensor(number, device=device)
    distributed.all_reduce(largest, distributed.ReduceOp.MAX)
    return int(largest)


def all_union(items: Tensor) -> Tensor:
    """Return the distinct items of all processes, ascending.

    Args:
        items: ``[n]`` int64; n may differ between processes.

    Returns:
        ``[m]`` int64, the same in all processes.
    """
    distinct = torch.unique(items)
    return distinct if world_size() == 1 else torch.unique(torch.cat(gather_all_tensors(distinct)))


def weight_by_targets(num_targets: Tensor, terms: Mapping[str, Tensor]) -> tuple[Tensor | float, dict[str, Tensor]]:
    """Compute the weight of a process's loss, and the means of its terms over all processes.

    The strategies average gradients over processes. That equals the average over targets only if each process's loss is
    weighted by its share of the targets.

    Args:
        num_targets: scalar, number of targets of this process.
        terms: scalars by name, each a mean over these targets.

    Returns:
        The weight (1.0 in a job of one process), and each term as a mean over the targets of all processes, without gradient.
    """
    detached = {name: term.detach() for name, term in terms.items()}
    if world_size() == 1:
        return 1.0, detached
    total = all_sum(torch.stack([torch.ones_like(num_targets), *detached.values()]).float() * num_targets)
    means = total[1:] / total[0]
    return num_targets * world_size() / total[0], dict(zip(detached, means.unbind(), strict=True))


def encode_sharded(codes: np.ndarray, encode: Callable[[np.ndarray], Tensor]) -> Tensor:
    """Encode values that all processes need: each process encodes a share, and all gather the embeddings.

    The gradient of an embedding is the sum of its gradients in all processes.

    Args:
        codes: ``[U]`` codes of the values, the same in all processes.
        encode: maps codes ``[n]`` to embeddings ``[n, D]``.

    Returns:
        ``[U, D]``
    """
    if (processes := world_size()) == 1:
        return encode(codes)
    own = encode(codes[distributed.get_rank() :: processes])
    largest_share = -(-len(codes) // processes)
    gathered: Tensor = _Gather.apply(F.pad(own, (0, 0, 0, largest_share - len(own))))  # type: ignore[no-untyped-call]
    # The j-th value of process r is codes[j * processes + r].
    return gathered.transpose(0, 1).flatten(0, 1)[: len(codes)]


class _Gather(torch.autograd.Function):
    """Gather ``[U, D]`` of each process as ``[processes, U, D]``.

    The function of torch that does so is deprecated, and its successor is private.
    """

    @staticmethod
    def forward(_: Any, own: Tensor) -> Tensor:
        own = own.contiguous()
        gathered = [torch.empty_like(own) for _ in range(world_size())]
        distributed.all_gather(gathered, own)
        return torch.stack(gathered)

    @staticmethod
    @once_differentiable
    def backward(_: Any, grad: Tensor) -> Tensor:
        return all_sum(grad)[distributed.get_rank()]
