"""Where in the training a checkpoint is, and how a training goes on from there."""

from typing import Any, cast

from lightning.pytorch import Trainer
from lightning.pytorch.loops.progress import _ProcessedTracker

from interestlab.data.sampler import LengthBucketSampler


def settle(checkpoint: dict[str, Any], window: int) -> None:
    """Let a checkpoint say that it lies between two steps of the optimiser, wherever in a step it was made.

    Lightning tells by its counters in which hook a checkpoint was made, and takes up the rest of that hook; of several
    hooks, and where the steps are limited, it takes up too much or too little.

    Args:
        checkpoint: of Lightning, changed in place.
        window: batches of a step of the optimiser.
    """
    fit = checkpoint["loops"]["fit_loop"]
    epochs, batches = fit["epoch_progress"], fit["epoch_loop.batch_progress"]
    done = batches["current"]["processed"]
    ended = batches["is_last_batch"] and batches["current"]["ready"] == done
    # Gradients are not kept: the batches of an unfinished step are taken again, with the weights that they met.
    again = 0 if ended else done % window
    batches["current"] = dict.fromkeys(batches["current"], 0 if ended else done - again)
    batches["total"] = dict.fromkeys(batches["total"], batches["total"]["processed"] - again)
    batches["is_last_batch"] = False
    for counts in (epochs["current"], epochs["total"]):
        begun = counts["started"]
        over = begun if ended else max(0, begun - 1)
        counts.update(ready=begun, started=begun, processed=over, completed=over)
    fit["epoch_loop.state_dict"]["_batches_that_stepped"] = checkpoint["global_step"]


def go_on(trainer: Trainer) -> None:
    """Go on where a settled checkpoint was made; to be called when a resumed training starts."""
    fit = trainer.fit_loop
    loop, batches = fit.epoch_loop, cast(_ProcessedTracker, fit.epoch_loop.batch_progress.current)
    sampler = getattr(trainer.train_dataloader, "sampler", None)
    if isinstance(sampler, LengthBucketSampler):
        sampler.resume(cast(_ProcessedTracker, fit.epoch_progress.current).processed, batches.processed)
        iter(fit._data_fetcher)  # type: ignore[arg-type]  # the first was made before the checkpoint was read
    if loop.restarting and loop._should_check_val_fx(fit._data_fetcher):  # type: ignore[arg-type]
        loop._batches_that_stepped -= 1  # Lightning counts the validation that it leaves out as a step
