"""Which process of a job this is."""

from lightning.pytorch.utilities import rank_zero_only
from torch import distributed


def world_size() -> int:
    """Return the number of processes of the job."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def is_rank_zero() -> bool:
    """Return whether this is the first process of the job, also before the processes are connected."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank() == 0
    return getattr(rank_zero_only, "rank", 0) == 0
