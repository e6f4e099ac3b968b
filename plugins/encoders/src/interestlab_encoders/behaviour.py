"""What an event is beside its item: what was done, how it was rated, what it cost, when it was."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from interestlab.batch import Inputs
from interestlab.contract import Encoder

NUMBERS = ("rating", "price", "elapsed")
"""Columns that are read as numbers unless told otherwise: more of them is more of the same."""


class Behaviour(Encoder):
    """One signal of an event or an item beside words and ids, as a stream of its own, so that it can be missing by itself.

    A category has one learnt vector a value. A number is read on a logarithmic scale, which suits prices, durations and
    counts, through learnt frequencies and a small network (periodic embeddings of numbers: Gorishniy et al. 2022, arXiv
    2203.05556), so that near numbers are alike and one that training never met is read like its neighbours.

    Args:
        field: the signal: ``event.event``, ``event.rating``, ``item.price`` or any other column; ``event.hour``,
            ``event.weekday`` and ``event.elapsed`` (how long the user was away) are there in every log.
        kind: how it is read; ``auto``: ``rating``, ``price`` and ``elapsed`` as numbers, all else as categories.
        frequencies: how many a number is read through.
        dim: width of the vectors; None takes the width of the model.

    Raises:
        ValueError: ``frequencies`` is not positive, or there is no such ``kind``.
    """

    def __init__(
        self,
        field: str = "event.event",
        kind: Literal["auto", "category", "number"] = "auto",
        frequencies: int = 16,
        dim: int | None = None,
    ) -> None:
        super().__init__()
        if kind not in ("auto", "category", "number"):
            raise ValueError(f"kind is {kind!r}; it must be auto, category or number")
        if frequencies < 1:
            raise ValueError(f"frequencies={frequencies}: one at least is needed")
        self.fields = (field,)
        self.frequencies = frequencies
        self.dim = dim
        number = field.partition(".")[2] in NUMBERS if kind == "auto" else kind == "number"
        self.preprocess_key = "number-1" if number else None

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        """Make the table or the network.

        Raises:
            ValueError: the data has no such field.
        """
        (field,) = self.fields
        if field not in cardinalities:
            raise ValueError(f"the data has no field '{field}'; it has {', '.join(sorted(cardinalities)) or 'none'}")
        self.out_dim = self.dim or dim
        if self.preprocess_key:
            self.read: nn.Module = Number(self.out_dim, self.frequencies)
            return
        self.read = nn.Embedding(cardinalities[field], self.out_dim)
        nn.init.trunc_normal_(self.read.weight, std=0.02, a=-0.04, b=0.04)

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        """One float32 a value, none where it is no number."""
        return [np.asarray(number(value), np.float32) for value in values]

    def forward(self, inputs: Inputs) -> Tensor:
        if inputs.lengths is None:
            return self.read(inputs.values)
        return self.read((inputs.values * inputs.mask).sum(1))


class Number(nn.Module):
    """Numbers ``[U]`` -> ``[U, dim]``: ``W2 gelu(W1 [l, sin(f l), cos(f l)])`` of ``l = sign(x) ln(1 + |x|)``.

    Args:
        dim: width of the vectors.
        frequencies: how many; they start at periods from 8 down to 1/8 in ``l``: from a factor of 3,000 between numbers to
            one of 1.13.
    """

    def __init__(self, dim: int, frequencies: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(2 * math.pi * torch.logspace(-3, 3, frequencies, base=2.0))
        self.network = nn.Sequential(nn.Linear(1 + 2 * frequencies, dim), nn.GELU(), nn.Linear(dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        level = x.sign() * x.abs().log1p()
        turns = level.unsqueeze(-1) * self.frequencies
        waves = torch.cat([level.unsqueeze(-1), turns.sin(), turns.cos()], -1)
        return self.network(waves.to(self.frequencies.dtype))


def number(text: str) -> list[float]:
    """The number that a text is, if it is one that float32 can hold."""
    try:
        value = float(text)
    except ValueError:
        return []
    return [value] if abs(value) < 1e38 else []
