"""Batch histories of similar length: little padding, and a bounded batch size."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from torch.utils.data import Sampler


class LengthBucketSampler(Sampler[list[int]]):
    """Batches of samples of similar length, with at most ``max_events`` events including the padding.

    All processes compute the same batches and each takes its share of every batch, so that a training step sees the same
    samples for any number of processes. A batch with fewer samples than processes takes in further samples. Without
    shuffling, batches come in order of length.

    Args:
        lengths: ``[samples]`` int number of events of each sample.
        max_events: samples × longest history of a batch.
        shuffle: whether the composition and the order of the batches change with the epoch.
        seed: seed of the shuffling.
        rank: index of this process.
        world: number of processes.
    """

    def __init__(
        self, lengths: np.ndarray, max_events: int, *, shuffle: bool, seed: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        self.lengths, self.max_events, self.shuffle, self.seed = lengths, max_events, shuffle, seed
        self.rank, self.world, self.epoch, self._skip = rank, world, 0, 0
        ascending = np.sort(lengths)
        self._boundaries = _batch_boundaries(ascending, max_events, world)
        single = self._boundaries if world == 1 else _batch_boundaries(ascending, max_events, 1)
        self._single_process_batches = len(single) - 1

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; the trainer calls this before each.

        Args:
            epoch: its number.
        """
        if epoch != self.epoch:
            self.epoch, self._skip = epoch, 0

    def resume(self, epoch: int, batches_done: int) -> None:
        """Skip the batches of an epoch that a previous run trained on.

        Args:
            epoch: its number.
            batches_done: how many of its first batches to skip.
        """
        self.epoch, self._skip = epoch, batches_done

    def epoch_batches(self) -> list[np.ndarray]:
        """Return the samples of each batch of this epoch, over all processes."""
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(len(self.lengths)) if self.shuffle else np.arange(len(self.lengths))
        order = order[np.argsort(self.lengths[order], kind="stable")]
        batches = [order[first:last] for first, last in pairwise(self._boundaries)]
        if not self.shuffle:
            return batches
        # Permute as a single process would, so that the order does not depend on the number of processes.
        return [batches[i] for i in rng.permutation(self._single_process_batches) if i < len(batches)]

    def __iter__(self) -> Iterator[list[int]]:
        shares = (batch[self.rank :: self.world].tolist() for batch in self.epoch_batches()[self._skip :])
        return iter([share for share in shares if share])

    def __len__(self) -> int:
        return len(self._boundaries) - 1


def bucket_by_length(
    lengths: np.ndarray, max_events: int, *, tie_break: np.ndarray | None = None, equal_lengths: bool = False
) -> Iterator[np.ndarray]:
    """Group samples of similar length into buckets as large as fit, shortest first.

    Args:
        lengths: ``[n]`` int number of events of each sample.
        max_events: samples × longest history of a bucket; a longer sample gets a bucket of its own.
        tie_break: ``[n]`` order of samples of equal length; None: as given. With distinct keys, the buckets do not depend
            on the order of the samples.
        equal_lengths: whether a bucket may only contain samples of one length, and so no padding.

    Yields:
        Indices of the samples of one bucket.
    """
    order = np.argsort(lengths, kind="stable") if tie_break is None else np.lexsort((tie_break, lengths))
    ascending = lengths[order]
    first = 0
    while first < len(order):
        # The last sample of a bucket is its longest, so its length is the padded width.
        following = ascending[first : first + max_events]
        size = int(np.searchsorted(following * np.arange(1, len(following) + 1), max_events, side="right"))
        if equal_lengths:
            size = min(size, int(np.searchsorted(following, following[0], side="right")))
        yield order[first : first + max(1, size)]
        first += max(1, size)


def _batch_boundaries(ascending: np.ndarray, max_events: int, min_samples: int) -> list[int]:
    """Return the first sample of each batch, and the end of the last.

    Unlike :func:`bucket_by_length`, a batch is not the largest that fits: where lengths rise steeply, shrinking it to the
    width of its last sample shrinks it too far. The rule is kept because it fixes the number of training steps per epoch,
    on which all published results depend.

    Args:
        ascending: ``[samples]`` int lengths, sorted.
        max_events: samples × longest history of a batch.
        min_samples: smallest number of samples in each batch.
    """
    boundaries = [0]
    while (start := boundaries[-1]) < len(ascending):
        stop = min(len(ascending), start + max(1, max_events // int(ascending[start])))
        while stop - start > 1 and int(ascending[stop - 1]) * (stop - start) > max_events:
            stop = start + max(1, max_events // int(ascending[stop - 1]))
        boundaries.append(min(len(ascending), max(stop, start + min_samples)))
    if len(boundaries) > 2 and boundaries[-1] - boundaries[-2] < min_samples:
        del boundaries[-2]  # every process needs a sample in every step
    return boundaries
