"""Distribute the encoding of a backbone over the processes of a job. The backbone itself knows only one process."""

from collections.abc import Callable

import numpy as np
import torch
from lightning.pytorch.strategies import Strategy
from torch import Tensor, nn

from interestlab.distributed.collectives import all_max, all_union, encode_sharded
from interestlab.distributed.fsdp import FSDP2Strategy, check_strategy, is_sharded
from interestlab.distributed.rank import world_size
from interestlab.errors import TrainingError
from interestlab.model.backbone import InterestBackbone
from interestlab.model.execution import LOCAL, EncoderExecution


class DistributedExecution(EncoderExecution):
    """Encode values together with the other processes of the job.

    Args:
        device: device of the tensors that the processes exchange.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def encode_shared(self, codes: np.ndarray, encode: Callable[[np.ndarray], Tensor]) -> Tensor:
        return encode_sharded(codes, encode)

    def union(self, codes: np.ndarray) -> np.ndarray:
        return all_union(torch.from_numpy(codes).to(self.device)).cpu().numpy()

    def count_chunks(self, encoder: nn.Module, chunks: int) -> int:
        return all_max(chunks, self.device) if is_sharded(encoder) else chunks

    def check_can_encode_alone(self, encoder: nn.Module) -> None:
        if is_sharded(encoder):
            raise TrainingError(
                f"layers of {type(encoder).__name__} were frozen during training; freeze them before it, or use "
                "--trainer.strategy=ddp."
            )


def parallelize(backbone: InterestBackbone, strategy: Strategy) -> None:
    """Distribute the encoding of a backbone over the processes of the job, if there are several.

    Args:
        backbone: the backbone.
        strategy: strategy of the trainer; its processes must be connected already.

    Raises:
        DataError: evaluations do not support the way in which the strategy shards weights.
    """
    check_strategy(strategy)
    distributed = world_size() > 1 or isinstance(strategy, FSDP2Strategy)
    backbone.set_execution(DistributedExecution(strategy.root_device) if distributed else LOCAL)
