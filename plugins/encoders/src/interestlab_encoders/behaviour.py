"""Signals of an event besides its item: action, rating, price, time."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from interestlab.batch import Inputs
from interestlab.contract import Encoder

NUMERIC_COLUMNS = ("rating", "price", "elapsed")
"""Columns that ``kind=auto`` reads as numbers, because they are ordered quantities."""


class Behaviour(Encoder):
    """One signal of an event or item (action, rating, price, hour, elapsed time) as a stream of its own.

    A separate stream per signal allows each of them to be missing. A category has one learnt vector per value. A number is
    read on a logarithmic scale, which suits prices, durations and counts, through learnt frequencies and a small network, so
    that close numbers have similar vectors and unseen numbers are interpolated.

    Source: periodic embeddings of numbers, Gorishniy et al. 2022, arXiv 2203.05556.

    Args:
        field: the signal: ``event.event``, ``event.rating``, ``item.price`` or any other column. Every log has
            ``event.hour``, ``event.weekday`` and ``event.elapsed`` (days since the user's previous event).
        kind: ``category``, ``number``, or ``auto``: numbers for ``rating``, ``price`` and ``elapsed``, else categories.
        frequencies: number of learnt frequencies for a number, at least 1.
        dim: width of the vectors; None takes the width of the model.

    Raises:
        ValueError: ``frequencies`` is below 1, or ``kind`` is unknown.
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
            raise ValueError(f"frequencies={frequencies} must be at least 1")
        self.fields = (field,)
        self.frequencies = frequencies
        self.dim = dim
        is_number = field.partition(".")[2] in NUMERIC_COLUMNS if kind == "auto" else kind == "number"
        self.preprocess_key = "number-1" if is_number else None

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        """Create the embedding table or the network.

        Args:
            cardinalities: number of distinct values of each field.
            dim: width of the model.

        Raises:
            ValueError: the data has no such field.
        """
        (field,) = self.fields
        if field not in cardinalities:
            raise ValueError(f"the data has no field '{field}'; it has {', '.join(sorted(cardinalities)) or 'none'}")
        self.out_dim = self.dim or dim
        if self.preprocess_key:
            self.embed: nn.Module = NumberEmbedding(self.out_dim, self.frequencies)
            return
        self.embed = nn.Embedding(cardinalities[field], self.out_dim)
        nn.init.trunc_normal_(self.embed.weight, std=0.02, a=-0.04, b=0.04)

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        return [np.asarray(parse_number(value), np.float32) for value in values]

    def forward(self, inputs: Inputs) -> Tensor:
        if inputs.lengths is None:
            return self.embed(inputs.values)
        return self.embed((inputs.values * inputs.mask).sum(1))


class NumberEmbedding(nn.Module):
    """Embed numbers as ``W2 gelu(W1 [l, sin(f l), cos(f l)])`` with ``l = sign(x) ln(1 + |x|)`` and learnt frequencies f.

    Args:
        dim: width of the vectors.
        frequencies: number of frequencies. Their initial periods range from 8 to 1/8 in ``l``, which distinguishes numbers
            that differ by a factor of 3,000 down to a factor of 1.13.
    """

    def __init__(self, dim: int, frequencies: int) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(2 * math.pi * torch.logspace(-3, 3, frequencies, base=2.0))
        self.network = nn.Sequential(nn.Linear(1 + 2 * frequencies, dim), nn.GELU(), nn.Linear(dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Embed numbers.

        Args:
            x: ``[U]``.

        Returns:
            ``[U, dim]``.
        """
        log_x = x.sign() * x.abs().log1p()
        angles = log_x.unsqueeze(-1) * self.frequencies
        features = torch.cat([log_x.unsqueeze(-1), angles.sin(), angles.cos()], -1)
        return self.network(features.to(self.frequencies.dtype))


def parse_number(text: str) -> list[float]:
    """Parse a number that float32 can represent.

    Args:
        text: any text.

    Returns:
        a list with the number, or an empty list if the text is no such number.
    """
    try:
        value = float(text)
    except ValueError:
        return []
    return [value] if abs(value) < 1e38 else []
