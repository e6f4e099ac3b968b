"""Properties of a run, read from Lightning."""

from lightning.pytorch import Trainer


def is_fast_dev_run(trainer: Trainer) -> bool:
    """Return whether the run is Lightning's ``fast_dev_run``, which writes no files.

    Args:
        trainer: the trainer of the run.
    """
    return bool(getattr(trainer, "fast_dev_run", False))
