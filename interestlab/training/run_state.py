"""What is asked of Lightning in several places: whether a run is kept, and which of its processes this is."""

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only


def is_fast_dev_run(trainer: Trainer) -> bool:
    """Whether the run is Lightning's ``fast_dev_run``, which leaves nothing behind."""
    return bool(getattr(trainer, "fast_dev_run", False))


def is_rank_zero() -> bool:
    """Whether this is the first process of a job, or its only one; known before there is a trainer."""
    return getattr(rank_zero_only, "rank", 0) == 0
