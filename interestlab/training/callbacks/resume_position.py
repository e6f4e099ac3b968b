"""The position of a checkpoint in the training, and how a resumed training continues from it."""

from typing import Any, cast

from lightning.pytorch import Trainer
from lightning.pytorch.loops.progress import _ProcessedTracker

from interestlab.data.sampler import LengthBucketSampler


def move_to_step_boundary(checkpoint: dict[str, Any], window: int) -> None:
    """Set the counters of a checkpoint as if it was written between two optimiser steps.

    Lightning's counters record in which hook a checkpoint was written, and a resumed run does the rest of that hook. With
    several hooks, or a limit on the steps, it does too much or too little.

    Args:
        checkpoint: Lightning's, changed in place.
        window: number of batches per optimiser step.
    """
    fit = checkpoint["loops"]["fit_loop"]
    epochs, batches = fit["epoch_progress"], fit["epoch_loop.batch_progress"]
    done = batches["current"]["processed"]
    is_epoch_over = batches["is_last_batch"] and batches["current"]["ready"] == done
    # Gradients are not saved: the batches of an unfinished step are repeated, with the same weights.
    repeated = 0 if is_epoch_over else done % window
    batches["current"] = dict.fromkeys(batches["current"], 0 if is_epoch_over else done - repeated)
    batches["total"] = dict.fromkeys(batches["total"], batches["total"]["processed"] - repeated)
    batches["is_last_batch"] = False
    for counts in (epochs["current"], epochs["total"]):
        started = counts["started"]
        completed = started if is_epoch_over else max(0, started - 1)
        counts.update(ready=started, started=started, processed=completed, completed=completed)
    fit["epoch_loop.state_dict"]["_batches_that_stepped"] = checkpoint["global_step"]


def resume_position(trainer: Trainer) -> None:
    """Continue at the position of a checkpoint; to be called when a resumed training starts.

    Args:
        trainer: trainer of the run, which has read the checkpoint.
    """
    fit = trainer.fit_loop
    loop, batches = fit.epoch_loop, cast(_ProcessedTracker, fit.epoch_loop.batch_progress.current)
    sampler = getattr(trainer.train_dataloader, "sampler", None)
    if isinstance(sampler, LengthBucketSampler):
        sampler.resume(cast(_ProcessedTracker, fit.epoch_progress.current).processed, batches.processed)
        iter(fit._data_fetcher)  # type: ignore[arg-type]  # the first was made before the checkpoint was read
    if loop.restarting and loop._should_check_val_fx(fit._data_fetcher):  # type: ignore[arg-type]
        loop._batches_that_stepped -= 1  # Lightning counts the validation that it skips as a step
