"""Batches of tokenised texts of similar length."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from interestlab.batch import Inputs
from interestlab.data.sampler import LengthBucketSampler

TEXTS_PER_CHUNK = 20_000
"""Texts that are tokenised at a time."""

Collate = Callable[[np.ndarray, list[list[np.ndarray]]], Any]
"""Makes a batch of samples ``[n, k]`` (indices of texts) and the tokens of their k texts."""

console = Console(stderr=True)


class Samples(Dataset[Any]):
    """Samples of k texts each: one text, or a pair.

    Args:
        rows: tokens of each text.
        samples: ``[S, k]`` int64 indices of texts.
        collate: makes a batch.

    Attributes:
        lengths: ``[S]`` int64 tokens of each sample as it counts in a batch: k times its longest text.
    """

    def __init__(self, rows: Sequence[np.ndarray], samples: np.ndarray, collate: Collate) -> None:
        self.rows, self.samples, self.collate = rows, samples, collate
        lengths = np.array([len(row) for row in rows], np.int64)
        self.lengths: np.ndarray = lengths[samples].max(1) * samples.shape[1]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, batch: list[int]) -> Any:
        samples = self.samples[batch]
        return self.collate(samples, [[self.rows[i] for i in column] for column in samples.T])


def train_loader(samples: Samples, batch_tokens: int, seed: int) -> DataLoader[Any]:
    """Return shuffled batches, which change with the epoch.

    Args:
        samples: what is trained on.
        batch_tokens: most tokens of a batch, including padding.
        seed: seed of the shuffling.
    """
    sampler = LengthBucketSampler(samples.lengths, batch_tokens, shuffle=True, seed=seed)
    return DataLoader(samples, sampler=sampler, batch_size=None)


def fixed_loader(samples: Samples, batch_tokens: int) -> DataLoader[Any]:
    """Return batches that are made once, so that every measurement sees the same masks.

    Args:
        samples: what is measured.
        batch_tokens: most tokens of a batch, including padding.
    """
    sampler = LengthBucketSampler(samples.lengths, batch_tokens, shuffle=False)
    batches: Any = [samples[batch] for batch in sampler]
    return DataLoader(batches, batch_size=None)


def tokenize(preprocess: Callable[[Sequence[str]], list[np.ndarray]], texts: Sequence[str]) -> list[np.ndarray]:
    """Return the tokens of texts.

    Args:
        preprocess: tokenises texts.
        texts: the texts.

    Returns:
        One int32 array ``[length]`` per text.
    """
    starts = range(0, len(texts), TEXTS_PER_CHUNK)
    tracked = track(starts, f"tokenising {len(texts):,} texts", console=console, transient=True, disable=len(starts) < 2)
    return [row for start in tracked for row in preprocess(texts[start : start + TEXTS_PER_CHUNK])]


def pad(rows: Sequence[np.ndarray], padding: int) -> Inputs:
    """Join rows of tokens.

    Args:
        rows: int32 arrays ``[length]``.
        padding: the token that fills them up.

    Returns:
        Tokens ``[n, L]`` int64 and lengths ``[n]``.
    """
    lengths = torch.tensor([len(row) for row in rows])
    values = torch.full((len(rows), int(lengths.max())), padding)
    for line, row in zip(values, rows, strict=True):
        line[: len(row)] = torch.from_numpy(row.astype(np.int64))
    return Inputs(values, lengths)
