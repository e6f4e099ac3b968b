"""Example inputs of the checks."""

from collections.abc import Sequence

import numpy as np
import torch

from interestlab.batch import Inputs

TEXTS = (
    "wireless headphones",
    "",
    "红色连衣裙，夏季新款",
    "It was fine at first. " * 500,
    "Très bien ! 👍",
)
"""Typical texts: short, empty, Chinese, very long, and with symbols."""


def pad_rows(rows: Sequence[np.ndarray]) -> Inputs:
    """Pad preprocessed rows to the inputs of an encoder.

    Stability: stable.

    Args:
        rows: U arrays ``[length, ...]``, as from ``Encoder.preprocess``.

    Returns:
        values ``[U, L, ...]``, padded with zeros on the right, and their lengths.
    """
    lengths = [len(row) for row in rows]
    values = np.zeros((len(rows), max([1, *lengths]), *rows[0].shape[1:]), rows[0].dtype)
    for padded, row in zip(values, rows, strict=True):
        padded[: len(row)] = row
    return Inputs(torch.from_numpy(values), torch.tensor(lengths))
